"""The extended tokenizer: learnt from a mixture on top of the base, or a given one that extends it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosstune.recipe import LearnedExtension, Recipe
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend, new_pieces, refuse_unextendable
from crosstune.tokenizer.learn import NewPieces, Wish, learn_new_pieces
from crosstune.tokenizer.sentencepiece.writer import with_all_merges
from crosstune.tokenizer.texts import data_root, mixture_texts

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
    parts = ["extended", fingerprint_of(run.tokenizer("base")), recipe.languages, recipe.seed]
    if isinstance(settings, LearnedExtension):
        mixture = run.mixture(settings.mixture)
        made_from = fingerprint(*parts, settings, fingerprint_of(mixture))
        return Maker(made_from, partial(_learn, settings, recipe.languages.target, mixture))
    found = given.find(settings, data_root(recipe, run), _SETTING)
    return Maker(fingerprint(*parts, found.fingerprint), partial(_take, found.fetch))


def _learn(settings: LearnedExtension, language: str, mixture: Path, base: BpeTokenizer) -> Extended:
    new = learn(settings, language, mixture, base)
    if settings.write_sentencepiece:
        new = with_all_merges(base, new)
    multiple = settings.size_multiple_of
    size = -(-(base.size + settings.num_new_pieces) // multiple) * multiple
    return Extended(extend(base, new, size - base.size), new.promised, dead_allowed=False)


def learn(settings: LearnedExtension, language: str, mixture: Path, base: BpeTokenizer) -> NewPieces:
    """Learn the pieces that the settings ask for from a mixture's folder.

    Raises:
        BadInputError: when the base cannot be extended, or the settings cannot be met.
    """
    refuse_unextendable(base, "tokenizer.base")
    wish = Wish(
        language,
        settings.num_new_pieces,
        settings.required_syllables,
        settings.character_coverage,
        settings.allow,
        settings.deny,
    )
    texts = mixture_texts(mixture, f"counting the words of mixture {settings.mixture}")
    return learn_new_pieces(base, texts, wish)


def _take(fetch: Callable[[], Path], base: BpeTokenizer) -> Extended:
    content, _ = given.load(fetch(), _SETTING)
    return as_given(base, BpeTokenizer(content), ("tokenizer.base", _SETTING))


def as_given(base: BpeTokenizer, extended: BpeTokenizer, settings: tuple[str, str]) -> Extended:
    """Return an extended tokenizer that others made, with what it promises by its pieces.

    ``settings`` is where the user gave the two, for messages.

    Raises:
        BadInputError: when it does not extend the base, or either cannot be extended at all.
    """
    refuse_unextendable(base, settings[0])
    refuse_unextendable(extended, settings[1])
    # A letter that has a piece of its own was meant to be written with it; a dead piece promises nothing.
    added = (piece for piece in new_pieces(base, extended) if extended.cut(piece) == [piece])
    letters = [extended.surface(piece) or "" for piece in added]
    return Extended(extended, [letter for letter in letters if len(letter) == 1], dead_allowed=True)
