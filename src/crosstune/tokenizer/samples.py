"""The texts of a run that an extended tokenizer is proved on."""

from collections.abc import Iterator

from crosstune.languages import characters
from crosstune.languages.registry import shares_letters
from crosstune.recipe import LearnedExtension, Recipe
from crosstune.runs.folder import RunFolder
from crosstune.tokenizer import texts, verify
from crosstune.tokenizer.extension import Extended

_NUM_LINES = 10_000


def of_run(recipe: Recipe, run: RunFolder, extended: Extended) -> verify.Samples:
    """Return lines of every mixture and of the translation sets, by language."""
    target, source = recipe.languages.target, recipe.languages.source
    by_language = _by_language if shares_letters(target, source) else _by_letters
    return by_language(recipe, run, extended, characters.every_letter(target, source))


def lines_by_language(recipe: Recipe, run: RunFolder, num_lines: int) -> dict[str, list[str]]:
    """Return lines of all mixtures by the language that their rows say."""
    found = {
        language: texts.sample_lines(_rows_in(language, recipe, run), num_lines, recipe.seed)
        for language in (recipe.languages.source, recipe.languages.target)
    }
    return {language: lines for language, lines in found.items() if lines}


def _rows_in(language: str, recipe: Recipe, run: RunFolder) -> Iterator[str]:
    for name in recipe.data.mixtures:
        yield from texts.language_texts(run.mixture(name), language)


def _by_letters(recipe: Recipe, run: RunFolder, extended: Extended, letters: list[str]) -> verify.Samples:
    sets = texts.translation_lines(recipe, run).values()
    sentences = [line for sides in sets for side in sides.values() for line in side]
    # Of every mixture, since what pieces are learnt from holds little of the source language.
    share = -(-_NUM_LINES // len(recipe.data.mixtures))
    drawn = {
        line
        for name in recipe.data.mixtures
        for line in texts.sample_lines(texts.mixture_texts(run.mixture(name)), share, recipe.seed)
    }
    parted = verify.part_lines([*verify.AWKWARD, *sorted(drawn), *sentences], recipe.languages)
    return verify.Samples(
        parted["source"], parted["other"], parted["target"], extended.promised, extended.dead_allowed, letters
    )


def _by_language(recipe: Recipe, run: RunFolder, extended: Extended, letters: list[str]) -> verify.Samples:
    """Take each row's own word for its language, since letters do not tell."""
    target, source = recipe.languages.target, recipe.languages.source
    sets = list(texts.translation_lines(recipe, run).values())
    learnt, held_out = (
        texts.sample_lines(texts.source_texts(recipe, run, held_out=is_held_out), _NUM_LINES, recipe.seed)
        for is_held_out in (False, True)
    )
    lines = texts.sample_lines(_rows_in(target, recipe, run), _NUM_LINES, recipe.seed)
    unseen = [*held_out, *(line for sides in sets for line in sides[source])]
    settings = recipe.tokenizer.extension
    is_promised = isinstance(settings, LearnedExtension) and settings.source_text_unchanged
    return verify.Samples(
        source_lines=learnt,
        other_lines=[],
        target_lines=[*lines, *(line for sides in sets for line in sides[target])],
        promised=extended.promised,
        dead_allowed=extended.dead_allowed,
        letters=letters,
        held_out_words=[word for line in unseen for word in line.split()],
        source_may_change=not is_promised,
    )
