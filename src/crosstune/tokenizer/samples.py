"""The texts of a run that an extended tokenizer is proved on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from crosstune.languages import characters
from crosstune.languages.registry import shares_letters
from crosstune.recipe import LearnedExtension, Recipe, RecipeLanguages
from crosstune.runs.folder import RunFolder
from crosstune.tokenizer import texts, verify
from crosstune.tokenizer.extension import Extended
from crosstune.tokenizer.line_kinds import part_lines

_NUM_LINES = 10_000


def of_run(recipe: Recipe, run: RunFolder, extended: Extended) -> verify.Samples:
    """Return lines of every mixture and of the translation sets, by language."""
    found = _by_language if share_letters(recipe.languages) else _by_letters
    return found(recipe, run, extended)


def share_letters(languages: RecipeLanguages) -> bool:
    """Return whether letters do not tell all target text from source text: one target shares them with the source."""
    return any(shares_letters(pair.target, pair.source) for pair in languages.pairs)


def lines_by_language(recipe: Recipe, run: RunFolder, num_lines: int) -> dict[str, list[str]]:
    """Return lines of all mixtures by the language that their rows say."""
    found = {
        language: texts.sample_lines(_rows_in(language, recipe, run), num_lines, recipe.seed)
        for language in recipe.languages.codes
    }
    return {language: lines for language, lines in found.items() if lines}


def with_letters_of(languages: RecipeLanguages, lines: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each target, the lines with letters of it that the source does not use."""
    return {
        pair.target: list(filter(re.compile(f"[{characters.letters_of(pair.target, pair.source)}]").search, lines))
        for pair in languages.pairs
    }


def _rows_in(language: str, recipe: Recipe, run: RunFolder) -> Iterator[str]:
    for name in recipe.data.mixtures:
        yield from texts.language_texts(run.mixture(name), language)


def _by_letters(recipe: Recipe, run: RunFolder, extended: Extended) -> verify.Samples:
    sets = texts.translation_lines(recipe, run).values()
    sentences = [line for sides in sets for side in sides.values() for line in side]
    # Of every mixture, since what pieces are learnt from holds little of the source language.
    share = -(-_NUM_LINES // len(recipe.data.mixtures))
    drawn = {
        line
        for name in recipe.data.mixtures
        for line in texts.sample_lines(texts.mixture_texts(run.mixture(name)), share, recipe.seed)
    }
    parted = part_lines([*verify.AWKWARD, *sorted(drawn), *sentences], recipe.languages)
    lines = with_letters_of(recipe.languages, parted["target"])
    return _with_targets(
        recipe.languages,
        verify.Samples(parted["source"], parted["other"], parted["target"], extended.promised, extended.dead_allowed),
        lines,
    )


def _by_language(recipe: Recipe, run: RunFolder, extended: Extended) -> verify.Samples:
    """Take each row's own word for its language, since letters do not tell."""
    sets = list(texts.translation_lines(recipe, run).values())
    learnt, held_out = (
        texts.sample_lines(texts.source_texts(recipe, run, held_out=is_held_out), _NUM_LINES, recipe.seed)
        for is_held_out in (False, True)
    )
    lines = {
        target: [
            *texts.sample_lines(_rows_in(target, recipe, run), _NUM_LINES, recipe.seed),
            *(line for sides in sets for line in sides.get(target, ())),
        ]
        for target in recipe.languages.targets
    }
    unseen = [*held_out, *(line for sides in sets for line in sides.get(recipe.languages.source, ()))]
    settings = recipe.tokenizer.extension
    is_promised = isinstance(settings, LearnedExtension) and settings.source_text_unchanged
    samples = verify.Samples(
        source_lines=learnt,
        other_lines=[],
        target_lines=[line for side in lines.values() for line in side],
        promised=extended.promised,
        dead_allowed=extended.dead_allowed,
        held_out_words=[word for line in unseen for word in line.split()],
        source_may_change=not is_promised,
    )
    return _with_targets(recipe.languages, samples, lines)


def _with_targets(
    languages: RecipeLanguages, samples: verify.Samples, lines: Mapping[str, list[str]]
) -> verify.Samples:
    """Return samples with the letters of the targets and, of several, what belongs to each."""
    letters = {pair.target: characters.every_letter(pair.target, pair.source) for pair in languages.pairs}
    every = list(dict.fromkeys(letter for own in letters.values() for letter in own))
    if len(letters) == 1:
        return replace(samples, letters=every)
    targets = (verify.TargetSamples(code, lines[code], letters[code]) for code in letters)
    return replace(samples, letters=every, targets=tuple(targets))
