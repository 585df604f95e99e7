"""A mixture: rows drawn from its sources, rendered as prompt and completion, shuffled, all by seed."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle

from crosstune.data.rows import Row
from crosstune.errors import BadInputError, RecipeError
from crosstune.examples import Example
from crosstune.prompts import Template
from crosstune.recipe import MixturePart, Source

Combination = tuple[str, str]
"""Direction and instruction language."""


def draw(rows: Sequence[Row], max_rows: int | None, seed: int, source: str) -> list[Row]:
    """Return at most so many rows, drawn from their sorted order.

    Sorted by text, so that the order of the raw file does not matter. The draw knows the seed and the source only:
    mixtures that are compared draw the same rows, and a smaller draw is a part of a larger one.
    """
    if max_rows is None or len(rows) <= max_rows:
        return list(rows)
    ordered = sorted(rows, key=lambda row: (*row.texts.values(), row.origin))
    random.Random(f"{seed} draw {source}").shuffle(ordered)
    return ordered[:max_rows]


def as_text(rows: Sequence[Row], language: str) -> list[Row]:
    """Return one side of parallel rows as plain text."""
    return [Row(row.origin, {"text": row.texts[language]}) for row in rows]


def render(part: MixturePart, source: Source, rows: Sequence[Row], template: Template, seed: int) -> Iterator[Example]:
    """Yield the examples of a part, each drawn row as often as the part repeats it."""
    repeated = [row for _ in range(part.repeats) for row in rows]
    if source.kind == "text" or part.as_text is not None:
        language = part.as_text or source.language or ""
        yield from (Example("", row.texts["text"], language, part.source, row.origin) for row in repeated)
    elif source.kind == "instructions":
        for row in repeated:
            prompt = template.prompt(row.texts["instruction"], row.texts["input"])
            completion = template.completion(row.texts["output"])
            yield Example(prompt, completion, source.language or "", part.source, row.origin)
    else:
        yield from _translations(part, repeated, template, seed)


def _translations(part: MixturePart, rows: Sequence[Row], template: Template, seed: int) -> Iterator[Example]:
    generator = random.Random(f"{seed} combinations {part.source}")
    combinations = [(direction, asked) for direction in part.directions for asked in part.instruction_languages]
    wordings = {
        combination: cycle(_shuffled(template.translation_instructions(*combination, part.wordings), generator))
        for combination in combinations
    }
    for row, chosen in zip(rows, deal(combinations, part, len(rows), generator), strict=True):
        for combination in chosen:
            given, wanted = combination[0].split("-")
            prompt = template.prompt(next(wordings[combination]), row.texts[given])
            yield Example(prompt, template.completion(row.texts[wanted]), wanted, part.source, row.origin)


def deal(
    combinations: Sequence[Combination], part: MixturePart, num_rows: int, generator: random.Random
) -> Iterator[Sequence[Combination]]:
    """Yield the combinations of each row: all, or the least used so far, ties drawn, so that no two differ by over one.

    Raises:
        RecipeError: when a row should have more combinations than there are.
    """
    wanted = part.combinations_per_pair or len(combinations)
    if wanted > len(combinations):
        raise RecipeError(
            f"data.mixtures: {part.source!r} asks for combinations_per_pair: {wanted}, but {len(part.directions)} "
            f"directions x {len(part.instruction_languages)} instruction languages are {len(combinations)}. "
            f"Give 1 to {len(combinations)}, or leave it out for all"
        )
    used: Counter[Combination] = Counter()
    for _ in range(num_rows):
        if wanted == len(combinations):
            yield combinations
            continue
        chosen = sorted(combinations, key=lambda combination: (used[combination], generator.random()))[:wanted]
        used.update(chosen)
        yield chosen


def _shuffled(wordings: Sequence[str], generator: random.Random) -> list[str]:
    order = list(wordings)
    generator.shuffle(order)
    return order


def weighed(parts: Sequence[MixturePart], examples: Sequence[Sequence[Example]], seed: int) -> list[list[Example]]:
    """Return as many of each part's examples as its weight says, or all of them where no part has a weight.

    The mixture is as large as its scarcest part allows with all its repeats. Of the others, whole repeats are taken
    first and a draw by seed of one more, so that no two rows occur more than once apart.

    Raises:
        BadInputError: when a part that has a weight has no example.
    """
    both = enumerate(zip(parts, examples, strict=True))
    sizes = {index: len(rendered) / part.weight for index, (part, rendered) in both if part.weight}
    if not sizes:
        return [list(rendered) for rendered in examples]
    scarcest = min(sizes, key=sizes.__getitem__)
    if not sizes[scarcest]:
        raise BadInputError(
            f"data.mixtures: {parts[scarcest].source!r} should make up a share of weight {parts[scarcest].weight}, but "
            "no row of it is left. Check its file and data.quality, or remove it from the mixture"
        )
    chosen = []
    for part, rendered in zip(parts, examples, strict=True):
        wanted = min(len(rendered), round(sizes[scarcest] * (part.weight or 0)))
        once = len(rendered) // part.repeats
        whole = wanted - wanted % once
        more = random.Random(f"{seed} weight {part.source}").sample(rendered[:once], wanted - whole)
        chosen.append([*rendered[:whole], *more])
    return chosen


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """Return the examples in their final order."""
    order = list(examples)
    random.Random(f"{seed} order").shuffle(order)
    return order
