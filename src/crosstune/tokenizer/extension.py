"""The extended tokenizer: learnt from a mixture on top of the base, or a given one that extends it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.languages.registry import language, shares_letters
from crosstune.recipe import Languages, LearnedExtension, Recipe, RecipeLanguages
from crosstune.runs.files import write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.tokenizer import given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend, new_pieces, refuse_unextendable
from crosstune.tokenizer.folder import write_folder
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from crosstune.tokenizer.llama_cpp import base_facts
from crosstune.tokenizer.sentencepiece.writer import MODEL, with_all_merges, write_model
from crosstune.tokenizer.shared_letters import BothTexts, learn_beside_source
from crosstune.tokenizer.subwords import subwords
from crosstune.tokenizer.texts import data_root, language_texts, mixture_texts, source_texts
from crosstune.tokenizer.unused import Unused, unused_among
from crosstune.tokenizer.word_branch import with_whole_words

_SETTING = "tokenizer.extension.path"


@dataclass(frozen=True)
class Extended:
    """An extended tokenizer and what it promises.

    Attributes:
        tokenizer: the base with new pieces.
        promised: characters that must never fall apart into bytes.
        dead_allowed: whether pieces that no text is cut into are counted only (in a tokenizer that others made).
        unused: which pieces stand nowhere in the text that they were learned from; unknown of others' tokenizers.
    """

    tokenizer: BpeTokenizer
    promised: list[str]
    dead_allowed: bool
    unused: Unused | None = None


@dataclass(frozen=True)
class ExtensionMaker:
    """How the extension is made, and from what."""

    fingerprint: str
    make: Callable[[BpeTokenizer], Extended]


def prepare(recipe: Recipe, run: RunFolder) -> ExtensionMaker:
    """Find what the extension is made from.

    Raises:
        BadInputError: when a given tokenizer is nowhere.
    """
    settings = recipe.tokenizer.extension
    assert settings is not None
    parts = [fingerprint_of(run.tokenizer("base")), recipe.languages, recipe.seed]
    if isinstance(settings, LearnedExtension):
        # Source text is learnt from only beside a target that shares its letters.
        is_shared = any(shares_letters(pair.target, pair.source) for pair in recipe.languages.pairs)
        names = recipe.data.mixtures if is_shared else [settings.mixture]
        made_from = fingerprint(
            "extended tokenizer", *parts, settings, [fingerprint_of(run.mixture(name)) for name in names]
        )
        return ExtensionMaker(made_from, partial(_learn, settings, recipe, run))
    found = given.find(settings, data_root(recipe, run), _SETTING)
    return ExtensionMaker(fingerprint("extended tokenizer", *parts, found.fingerprint), partial(_take, found.fetch))


def _learn(settings: LearnedExtension, recipe: Recipe, run: RunFolder, base: BpeTokenizer) -> Extended:
    base = prepared(settings, recipe.languages.pairs, base)
    return filled(settings, base, learn(settings, recipe, run, base))


def filled(settings: LearnedExtension, base: BpeTokenizer, new: NewPieces) -> Extended:
    """Return the base with new pieces, and with padding up to the size that the settings ask for."""
    new = _with_its_merges(settings, base, new)
    multiple = settings.size_multiple_of
    size = -(-(base.size + settings.total_new_pieces) // multiple) * multiple
    return Extended(
        extend(base, new, size - base.size), new.promised, dead_allowed=False, unused=unused_among(base, new)
    )


def prepared(settings: LearnedExtension, pairs: Sequence[Languages], base: BpeTokenizer) -> BpeTokenizer:
    """Return the base as pieces are learnt on it: with a branch for each target's words where that is asked.

    Raises:
        BadInputError: when the base cannot be extended, or not be given a branch.
    """
    refuse_unextendable(base, "tokenizer.base")
    for pair in pairs if settings.keep_words_whole else ():
        # Of several targets; a recipe with one such target alone is refused.
        if not shares_letters(pair.target, pair.source):
            base = with_whole_words(base, pair.target, pair.source)
    return base


def _with_its_merges(settings: LearnedExtension, base: BpeTokenizer, new: NewPieces) -> NewPieces:
    return with_all_merges(base, new) if settings.write_sentencepiece else new


def learn(settings: LearnedExtension, recipe: Recipe, run: RunFolder, base: BpeTokenizer) -> NewPieces:
    """Learn the pieces that the settings ask for from the mixtures of a run; ``base`` is ``prepared``.

    Those of several targets are learnt one language after the other, each on top of what the earlier ones added: merges
    of an earlier language come first, so that its pieces stay what its text is cut into.

    Raises:
        BadInputError: when the settings cannot be met.
    """
    pairs = recipe.languages.pairs
    if len(pairs) == 1:
        return learn_from(settings, pairs[0], base, learnt_texts(settings, recipe, run, pairs[0]))
    whole = NewPieces()
    for own, pair in zip(by_target(settings, recipe.languages), pairs, strict=True):
        if own.total_new_pieces:
            learner = base.with_pieces(whole.pieces, whole.merges)
            new = learn_from(own, pair, learner, learnt_texts(own, recipe, run, pair))
            promised = dict.fromkeys([*whole.promised, *new.promised])
            whole = NewPieces(
                [*whole.pieces, *new.pieces],
                [*whole.merges, *new.merges],
                list(promised),
                parts=whole.parts | new.parts,
            )
    return whole


def by_target(settings: LearnedExtension, languages: RecipeLanguages) -> list[LearnedExtension]:
    """Return the settings of each target: its number of pieces and, of the allowed words, those that it spells.

    Raises:
        BadInputError: when no target spells an allowed word.
    """
    if len(languages.targets) == 1:
        return [settings.model_copy(update={"num_new_pieces": settings.total_new_pieces})]
    spells = {
        pair.target: re.compile(characters.word_of(characters.letters_of(pair.target, pair.source))).fullmatch
        for pair in languages.pairs
    }
    refused = [word for word in settings.allow if not any(is_word(word) for is_word in spells.values())]
    if refused:
        raise BadInputError(
            f"tokenizer.extension.allow: {refused} cannot be pieces: new pieces contain only letters of one of "
            f"{', '.join(spells)}, so that other text is tokenized as before. Remove them."
        )
    return [
        settings.model_copy(update={"num_new_pieces": number, "allow": tuple(filter(spells[target], settings.allow))})
        for target, number in settings.pieces_of(languages.targets).items()
    ]


def learnt_texts(settings: LearnedExtension, recipe: Recipe, run: RunFolder, pair: Languages) -> BothTexts:
    """Return what the pieces of one target are learnt from: all text of the mixture, where its letters tell it."""
    mixture = run.mixture(settings.mixture)
    if shares_letters(pair.target, pair.source):
        return BothTexts(language_texts(mixture, pair.target), source_texts(recipe, run, held_out=False))
    others = {script for code in recipe.languages.targets if code != pair.target for script in language(code).scripts}
    if others & {*language(pair.target).own_scripts}:
        return BothTexts(language_texts(mixture, pair.target), ())
    return BothTexts(mixture_texts(mixture, f"counting the words of mixture {settings.mixture}"), ())


def learn_from(settings: LearnedExtension, languages: Languages, base: BpeTokenizer, texts: BothTexts) -> NewPieces:
    """Learn the pieces that the settings ask for; source text is read only beside a target that shares its letters.

    Raises:
        BadInputError: when the settings cannot be met.
    """
    request = LearnRequest(
        languages.target,
        settings.total_new_pieces,
        settings.required_syllables,
        settings.character_coverage,
        settings.allow,
        settings.deny,
        languages.source,
    )
    if shares_letters(languages.target, languages.source):
        unchanged = partial(_with_its_merges, settings, base) if settings.source_text_unchanged else None
        new = learn_beside_source(base, texts, request, unchanged)
    else:
        new = learn_new_pieces(base, texts.target, request)
    if not new.pieces:
        raise BadInputError(
            f"tokenizer.extension: pieces of {languages.target!r} were asked, but none is worth learning: the base "
            f"tokenizer cuts the words of the text as well as those of {languages.source!r}, or they are too few. "
            "Remove tokenizer.extension and let all systems use `tokenizer: base`; or give more text; or, of several "
            "targets, set its number in num_new_pieces to 0."
        )
    return new


def write_extended(
    folder: Path,
    old: BpeTokenizer,
    extended: Extended,
    configuration: dict[str, Any],
    samples: verify.Samples,
    base_model: Path | None = None,
) -> dict[str, Any]:
    """Write an extended tokenizer with what its new pieces are spelled in and what was proved of it; return this.

    With ``base_model``, the base's SentencePiece model, it is written as one, too.
    """
    rows = subwords(old, extended.tokenizer)
    write_folder(folder, extended.tokenizer.content, configuration | base_facts(old, extended.tokenizer))
    write_json(folder / "subwords.json", rows)
    properties = verify.verify(old, extended.tokenizer, samples)
    if base_model is not None:
        write_model(base_model, folder / MODEL, old, extended.tokenizer)
        properties.append(verify.equals_slow(extended.tokenizer, folder / MODEL, samples))
    size = {"size": rows["new_size"], "new": rows["new_size"] - rows["old_size"], "dummies": len(rows["padding"])}
    if extended.unused is not None:
        properties.append(verify.new_pieces_are_used(extended.unused))
    report = verify.as_json(properties) | {"size": size}
    write_json(folder / "verification.json", report)
    return report


def _take(fetch: Callable[[], Path], base: BpeTokenizer) -> Extended:
    content, _ = given.load(fetch(), _SETTING)
    return as_given(base, BpeTokenizer(content), "tokenizer.base", _SETTING)


def as_given(base: BpeTokenizer, extended: BpeTokenizer, base_setting: str, extended_setting: str) -> Extended:
    """Return an extended tokenizer that others made, with what it promises by its pieces.

    The settings are where the user gave the two, for messages.

    Raises:
        BadInputError: when it does not extend the base, or either cannot be extended at all.
    """
    refuse_unextendable(base, base_setting)
    refuse_unextendable(extended, extended_setting)
    # A letter that has a piece of its own was meant to be written with it; a dead piece promises nothing.
    added = new_pieces(base, extended)
    alive = zip(added, extended.produces(added), strict=True)
    letters = [extended.surface(piece) or "" for piece, lives in alive if lives]
    return Extended(extended, [letter for letter in letters if len(letter) == 1], dead_allowed=True)
