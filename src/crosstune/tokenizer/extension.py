"""The extended tokenizer: learnt from a mixture on top of the base, or a given one that extends it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosstune.languages.registry import shares_letters
from crosstune.recipe import LearnedExtension, Recipe
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend, new_pieces, refuse_unextendable
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from crosstune.tokenizer.sentencepiece.writer import with_all_merges
from crosstune.tokenizer.shared_letters import BothTexts, learn_beside_source
from crosstune.tokenizer.texts import data_root, language_texts, mixture_texts, source_texts
from crosstune.tokenizer.word_branch import with_whole_words

_SETTING = "tokenizer.extension.path"


@dataclass(frozen=True)
class Extended:
    """An extended tokenizer and what it promises.

    Attributes:
        tokenizer: the base with new pieces.
        promised: characters that must never fall apart into bytes.
        dead_allowed: whether pieces that no text is cut into are counted only (in a tokenizer that others made).
    """

    tokenizer: BpeTokenizer
    promised: list[str]
    dead_allowed: bool


@dataclass(frozen=True)
class Maker:
    """How the extension is made, and from what."""

    fingerprint: str
    make: Callable[[BpeTokenizer], Extended]


def prepare(recipe: Recipe, run: RunFolder) -> Maker:
    """Find what the extension is made from.

    Raises:
        BadInputError: when a given tokenizer is nowhere.
    """
    settings = recipe.tokenizer.extension
    assert settings is not None
    parts = [fingerprint_of(run.tokenizer("base")), recipe.languages, recipe.seed]
    if isinstance(settings, LearnedExtension):
        # Source text is learnt from only beside a target that shares its letters.
        names = recipe.data.mixtures if shares_letters(*_pair(recipe)) else [settings.mixture]
        made_from = fingerprint(
            "extended tokenizer", *parts, settings, [fingerprint_of(run.mixture(name)) for name in names]
        )
        return Maker(made_from, partial(_learn, settings, recipe, run))
    found = given.find(settings, data_root(recipe, run), _SETTING)
    return Maker(fingerprint("extended tokenizer", *parts, found.fingerprint), partial(_take, found.fetch))


def _pair(recipe: Recipe) -> tuple[str, str]:
    return recipe.languages.target, recipe.languages.source


def _learn(settings: LearnedExtension, recipe: Recipe, run: RunFolder, base: BpeTokenizer) -> Extended:
    base = prepared(settings, recipe, base)
    new = _with_its_merges(settings, base, learn(settings, recipe, run, base))
    multiple = settings.size_multiple_of
    size = -(-(base.size + settings.num_new_pieces) // multiple) * multiple
    return Extended(extend(base, new, size - base.size), new.promised, dead_allowed=False)


def prepared(settings: LearnedExtension, recipe: Recipe, base: BpeTokenizer) -> BpeTokenizer:
    """Return the base as pieces are learnt on it: with a branch for the target's words where that is asked.

    Raises:
        BadInputError: when the base cannot be extended, or not be given a branch.
    """
    refuse_unextendable(base, "tokenizer.base")
    return with_whole_words(base, *_pair(recipe)) if settings.keep_words_whole else base


def _with_its_merges(settings: LearnedExtension, base: BpeTokenizer, new: NewPieces) -> NewPieces:
    return with_all_merges(base, new) if settings.write_sentencepiece else new


def learn(settings: LearnedExtension, recipe: Recipe, run: RunFolder, base: BpeTokenizer) -> NewPieces:
    """Learn the pieces that the settings ask for from the mixtures of a run; ``base`` is ``prepared``.

    Raises:
        BadInputError: when the settings cannot be met.
    """
    target, source = _pair(recipe)
    request = LearnRequest(
        target,
        settings.num_new_pieces,
        settings.required_syllables,
        settings.character_coverage,
        settings.allow,
        settings.deny,
        source,
    )
    mixture = run.mixture(settings.mixture)
    if not shares_letters(target, source):
        return learn_new_pieces(
            base, mixture_texts(mixture, f"counting the words of mixture {settings.mixture}"), request
        )
    texts = BothTexts(language_texts(mixture, target), source_texts(recipe, run, held_out=False))
    unchanged = partial(_with_its_merges, settings, base) if settings.source_text_unchanged else None
    return learn_beside_source(base, texts, request, unchanged)


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
