"""From the rows of sources to a mixture: drawn, repeated, wrapped in instructions, ordered; all from the seed."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from crosstune.data.sources import RawRow
from crosstune.examples import Example
from crosstune.prompts import Template, translation_instructions
from crosstune.recipe import Languages, MixturePart, Source


@dataclass(frozen=True)
class Wrapping:
    """What turns rows of a source into examples.

    Attributes:
        name: the source's name in the recipe.
        template: the recipe's prompt template.
        seed: of the mixture; every part draws from its own stream.
    """

    name: str
    source: Source
    languages: Languages
    template: Template
    seed: str


def make_examples(rows: Sequence[RawRow], part: MixturePart, wrapping: Wrapping) -> list[Example]:
    """Return the examples that a part of a mixture takes from its source, in the order of the source."""
    drawn = draw(rows, part.max_rows, f"{wrapping.seed}/{wrapping.name}")
    if wrapping.source.kind == "parallel" and part.as_text is None:
        examples = _translations(drawn, part, wrapping)
    elif wrapping.source.kind == "instructions":
        examples = [_instruction(row, wrapping) for row in drawn]
    else:
        field, language = part.as_text or "text", part.as_text or wrapping.source.language
        assert language is not None
        examples = [Example("", row.fields[field], language, wrapping.name, row.origin) for row in drawn]
    return examples * part.repeats


def draw(rows: Sequence[RawRow], max_rows: int | None, seed: str) -> list[RawRow]:
    """Return at most so many rows, drawn without replacement, in their own order."""
    if max_rows is None or len(rows) <= max_rows:
        return list(rows)
    chosen = random.Random(seed).sample(range(len(rows)), max_rows)
    return [rows[index] for index in sorted(chosen)]


def shuffle(examples: Sequence[Example], seed: str) -> list[Example]:
    """Return the examples in the mixture's final order."""
    order = list(examples)
    random.Random(seed).shuffle(order)
    return order


def _instruction(row: RawRow, wrapping: Wrapping) -> Example:
    fields = row.fields
    prompt = wrapping.template.prompt(fields["instruction"], fields["input"])
    assert wrapping.source.language is not None
    completion = wrapping.template.completion(fields["output"])
    return Example(prompt, completion, wrapping.source.language, wrapping.name, row.origin)


def _translations(rows: Sequence[RawRow], part: MixturePart, wrapping: Wrapping) -> list[Example]:
    """Wrap pairs in translation instructions.

    A pair is used in ``combinations_per_pair`` of its direction x instruction language combinations, from a place that
    is drawn; the wording is drawn too.
    """
    combinations = list(itertools.product(part.directions, part.instruction_languages))
    wordings = {combination: translation_instructions(*combination, part.wordings) for combination in combinations}
    uses = min(part.combinations_per_pair or len(combinations), len(combinations))
    generator = random.Random(f"{wrapping.seed}/{wrapping.name}/wordings")
    offsets = [generator.randrange(len(combinations)) for _ in rows] if uses < len(combinations) else [0] * len(rows)
    examples = []
    for row, offset in zip(rows, offsets, strict=True):
        for use in range(uses):
            # Spread over the list: two of four combinations differ in direction and in instruction language.
            place = (offset + use * max(1, len(combinations) // uses)) % len(combinations)
            direction, _ = combinations[place]
            source, target = direction.split("-")
            instruction = generator.choice(wordings[combinations[place]])
            prompt = wrapping.template.prompt(instruction, row.fields[source])
            completion = wrapping.template.completion(row.fields[target])
            examples.append(Example(prompt, completion, target, wrapping.name, row.origin))
    return examples
