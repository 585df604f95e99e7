"""How a mixture draws rows, and renders each as prompt and completion."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstune.data.external_shuffle import Keys, mixed
from crosstune.data.wording_noise import WordingNoise
from crosstune.errors import BadInputError, RecipeError
from crosstune.languages.registry import language_name, split_direction
from crosstune.prompts.conversation import turns_of
from crosstune.prompts.examples import Example
from crosstune.prompts.templates import Template
from crosstune.recipe import MixturePart, Source

Combination = tuple[str, str]
"""Direction and instruction language."""
Indices = NDArray[np.signedinteger[Any]]


def draw(keys: Keys, max_rows: int | None, seed: int, source: str) -> Indices:
    """Return the indices of at most so many rows, those whose stirred keys are smallest, in their order.

    Keys come from texts, so that the order of the raw file does not matter. The draw knows the seed and the source
    only: mixtures that are compared draw the same rows, and a smaller draw is a part of a larger one.
    """
    if max_rows is None or len(keys) <= max_rows:
        return np.arange(len(keys))
    order: Indices = np.argsort(mixed(keys, seed, "draw", source), kind="stable")
    return np.sort(order[:max_rows])


class Renderer:
    """Makes the examples of a part from its rows, one row after the other."""

    def __init__(
        self,
        part: MixturePart,
        source: Source,
        template: Template,
        seed: int,
        other_instructions: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Shuffle the wordings; ``noise`` counts those that it changes.

        ``other_instructions`` are, by language, those of the mixture's other tasks, which lend the noise their words.

        Raises:
            RecipeError: when a row should have more combinations than there are, or there are too few wordings.
        """
        self._part, self._source, self._template = part, source, template
        self._is_text = source.kind == "text" or part.as_text is not None
        generator = random.Random(f"{seed} combinations {part.source}")
        combinations = [(direction, asked) for direction in part.directions for asked in part.instruction_languages]
        self._names = {combination: names_of(combination) for combination in combinations}
        wordings = {combination: instructions_of(part, template, combination) for combination in combinations}
        self.num_wordings = {" ".join(combination): len(different) for combination, different in wordings.items()}
        self._words = {
            combination: words_of(template.translation_instructions(*combination, "train"), names)
            for combination, names in self._names.items()
        }
        self._others = {
            combination: without_names((other_instructions or {}).get(combination[1], ()), names)
            for combination, names in self._names.items()
        }
        self._wordings = {
            combination: cycle(_shuffled(different, generator)) for combination, different in wordings.items()
        }
        self._dealt = deal(combinations, part, generator)
        self.noise = WordingNoise(part.wording_noise, random.Random(f"{seed} wording noise {part.source}"))
        self.examples_per_row = (part.combinations_per_pair or len(combinations)) if combinations else 1

    def render(self, origin: str, texts: Mapping[str, str]) -> Iterator[Example]:
        """Yield the examples of a row."""
        part, source, template = self._part, self._source, self._template
        if self._is_text:
            yield Example("", texts["text"], part.as_text or source.language or "", part.source, origin)
        elif source.kind == "instructions":
            prompt = template.prompt(texts["instruction"], *turns_of(texts["input"]))
            yield Example(prompt, template.completion(texts["output"]), source.language or "", part.source, origin)
        else:
            for combination in next(self._dealt):
                given, wanted = split_direction(combination[0])
                prompt = template.prompt(self._instruction(combination), texts[given])
                yield Example(prompt, template.completion(texts[wanted]), wanted, part.source, origin)

    def _instruction(self, combination: Combination) -> str:
        """Return the next wording of a combination, changed where noise is asked for and falls on it."""
        wording = next(self._wordings[combination])
        name = self._names[combination][1]
        return self.noise.changed(wording, name, self._words[combination], self._others[combination])


def names_of(combination: Combination) -> tuple[str, str]:
    """Return the names of source and target in the language of the instruction."""
    direction, language = combination
    source, target = split_direction(direction)
    return language_name(source, language), language_name(target, language)


def words_of(wordings: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the different words of wordings in alphabetical order, without those that hold one of some names."""
    return sorted(without_names({word for wording in wordings for word in wording.split()}, names))


def without_names(texts: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the texts that hold none of some names."""
    return [text for text in texts if not any(name in text for name in names)]


def instructions_of(part: MixturePart, template: Template, combination: Combination) -> tuple[str, ...]:
    """Return the wordings that ask for a translation in a direction and a language of the instruction.

    Raises:
        RecipeError: when the part asks for more than there are.
    """
    wordings = template.translation_instructions(*combination, part.wordings)
    if part.num_wordings is not None and part.num_wordings > len(wordings):
        raise RecipeError(
            f"data.mixtures: the part of {part.source} asks for num_wordings: {part.num_wordings}, but there are "
            f"{len(wordings)} to train on in language {combination[1]!r}. Lower it, or add wordings under "
            f"data.translation_instructions.{combination[1]}.train"
        )
    return wordings[: part.num_wordings]


def deal(
    combinations: Sequence[Combination], part: MixturePart, generator: random.Random
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
    return _deal(combinations, wanted, generator)


def _deal(
    combinations: Sequence[Combination], wanted: int, generator: random.Random
) -> Iterator[Sequence[Combination]]:
    used: Counter[Combination] = Counter()
    while True:
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


def weighed(parts: Sequence[MixturePart], num_examples: Sequence[int]) -> list[int]:
    """Return how many of each part's examples its weight asks for, or all of them where no part has a weight.

    The mixture is as large as its scarcest part allows with all its repeats; ``num_examples`` counts these.

    Raises:
        BadInputError: when a part that has a weight has no example.
    """
    sizes = [number / part.weight for part, number in zip(parts, num_examples, strict=True) if part.weight]
    if not sizes:
        return list(num_examples)
    for part, number in zip(parts, num_examples, strict=True):
        if not number:
            raise BadInputError(
                f"data.mixtures: {part.source!r} should make up a share of weight {part.weight}, but none of its rows "
                f"is left. Check its file and data.quality, or remove it from the mixture"
            )
    return [
        min(number, round(min(sizes) * (part.weight or 0))) for part, number in zip(parts, num_examples, strict=True)
    ]


def taken(copies: NDArray[np.int32], keys: Keys, wanted: int, part: MixturePart) -> NDArray[np.bool_]:
    """Return which of a part's examples make up the wanted number.

    Whole repeats are taken first and a draw by key of one more, so that no two rows occur more than once apart.
    ``copies`` numbers each example's repeat, ``keys`` belong to the examples of one repeat each.
    """
    once = len(copies) // part.repeats
    whole, more = divmod(wanted, once) if once else (0, 0)
    chosen: NDArray[np.bool_] = copies < whole
    if more:
        next_copy = np.flatnonzero(copies == whole)
        order = np.argsort(keys[next_copy], kind="stable")
        chosen[next_copy[order[:more]]] = True
    return chosen
