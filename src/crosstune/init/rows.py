"""Rows as long as those that a mixture gives: what training costs depends on their lengths, not on what they say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from crosstune.init.corpus import Mixture
from crosstune.init.sources import Sources
from crosstune.languages.registry import split_direction
from crosstune.prompts.templates import TEMPLATES, Template, translation_instructions
from crosstune.recipe import Languages
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.train.rows import Rows, Segment

_NUM_ROWS = 256
_ASKED = "?"


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens as a tokenizer will cut them that does not exist yet.

    Attributes:
        saved: by what share new pieces shorten text in the target language.
        num_rows: of the model: its own pieces and the new ones.
        num_new: of them.
        template: what texts are asked in.
    """

    base: BpeTokenizer
    target: str
    saved: float
    num_rows: int
    num_new: int
    template: Template = TEMPLATES["alpaca"]

    def without_new_pieces(self) -> "TokenCounter":
        """Return the counter of the model as it comes."""
        return replace(self, saved=0.0, num_rows=self.num_rows - self.num_new, num_new=0)

    def lengths(self, texts: Sequence[str], language: str) -> list[float]:
        """Return the tokens of texts in a language."""
        share = 1 - self.saved if language == self.target else 1.0
        return [share * len(ids) for ids in self.base.encode_lines(list(texts))]

    @cached_property
    def around(self) -> int:
        """Tokens that the template puts around a question."""
        return len(self.base.encode_lines([self.template.prompt(_ASKED)])[0]) - 1

    @cached_property
    def around_input(self) -> int:
        """Tokens that it puts around an instruction and its input."""
        return len(self.base.encode_lines([self.template.prompt(_ASKED, _ASKED)])[0]) - 2

    @cached_property
    def shared(self) -> int:
        """How many of them all rows begin with, which training computes once."""
        begin = self.template.prompt(_ASKED).partition(_ASKED)[0]
        return len(self.base.encode_lines([begin])[0])

    def asking(self, direction: str, language: str) -> list[float]:
        """Return the tokens around a text that is to be translated, for each wording in a language."""
        wordings = translation_instructions(direction, language, "train")
        return [self.around_input + length for length in self.lengths(wordings, language)]


class _Lengths(NamedTuple):
    """The tokens of a row: its prompt, its answer, and how many of both are text in the target language."""

    prompt: int
    answer: int
    in_target: float


@dataclass(frozen=True)
class DrawnRows:
    """Some rows for all of a mixture.

    Attributes:
        num_rows: of all of it, as training will lay them out; of what was counted, where there are more.
        target_tokens_per_row: tokens of text in the target language, on average.
    """

    rows: Rows
    num_rows: float
    target_tokens_per_row: float = 0.0
    has_more: bool = False

    @cached_property
    def tokens_per_row(self) -> float:
        """Tokens of a row on average."""
        return float(self.rows.lengths().mean())


def draw(chosen: Sources, mixture: Mixture, languages: Languages, counter: TokenCounter, longest: int) -> DrawnRows:
    """Return rows of a mixture's lengths, of each source by its share; their tokens are drawn."""
    random = np.random.default_rng(0)
    begin = random.integers(0, counter.num_rows, counter.shared)
    rows, total, in_target = [], 0.0, 0.0
    for part in mixture.parts:
        name = part["source"]
        num_rows, found = _lengths(chosen, part, mixture, languages, counter, longest)
        total += num_rows
        wanted = max(1, round(_NUM_ROWS * mixture.shares[name]))
        for place in range(wanted if found else 0):
            prompt, answer, target_tokens = found[place % len(found)]
            in_target += target_tokens
            drawn = random.integers(0, counter.num_rows, prompt + answer)
            num_shared = min(len(begin), prompt - 1)
            drawn[:num_shared] = begin[:num_shared]
            language = chosen.files[name].language or languages.target
            rows.append((Segment(tuple(drawn.tolist()), prompt, 4 * answer, language, name),))
    has_more = any("max_rows" not in part and chosen.files[part["source"]].has_more for part in mixture.parts)
    return DrawnRows(Rows.of(rows), max(1.0, total), in_target / max(1, len(rows)), has_more)


def _lengths(
    chosen: Sources,
    part: Mapping[str, Any],
    mixture: Mixture,
    languages: Languages,
    counter: TokenCounter,
    longest: int,
) -> tuple[float, list[_Lengths]]:
    """Return how many rows a source gives, and the lengths of some of them."""
    name = part["source"]
    file, kind = chosen.files[name], chosen.settings[name]["kind"]
    if kind == "text":
        # Documents are packed into full rows.
        taken = part.get("max_rows", file.rows) / max(1, file.rows)
        read = [row["text"] for row in file.sample]
        rate = sum(counter.lengths(read, file.language)) / max(1, sum(map(len, read)))
        full = _Lengths(1, longest - 1, longest if file.language == languages.target else 0)
        return taken * file.characters * rate / longest, [full]
    return mixture.num_rows * mixture.shares[name], [
        _Lengths(prompt, min(answer, longest - prompt), min(in_target, longest))
        for prompt, answer, in_target in _prompts_and_answers(chosen, part, languages, counter)
        if prompt < longest
    ]


def _prompts_and_answers(
    chosen: Sources, part: Mapping[str, Any], languages: Languages, counter: TokenCounter
) -> Iterator[_Lengths]:
    file, kind = chosen.files[part["source"]], chosen.settings[part["source"]]["kind"]
    if kind == "parallel":
        lengths = {
            code: counter.lengths([row[code] for row in file.sample], code)
            for code in (languages.source, languages.target)
        }
        # Every way in which a translation is asked for, in turn.
        ways = [
            (direction, cycle(counter.asking(direction, language)))
            for direction in part["directions"]
            for language in part["instruction_languages"]
        ]
        for index, (direction, asking) in enumerate(islice(cycle(ways), len(file.sample))):
            known, wanted = split_direction(direction)
            prompt = round(next(asking) + lengths[known][index])
            yield _Lengths(prompt, 1 + round(lengths[wanted][index]), lengths[languages.target][index])
    else:
        asked_for = ["\n".join(row[key] for key in row if key != "output") for row in file.sample]
        questions = counter.lengths(asked_for, file.language)
        answers = counter.lengths([row["output"] for row in file.sample], file.language)
        for question, answer in zip(questions, answers, strict=True):
            in_target = question + answer if file.language == languages.target else 0
            yield _Lengths(counter.around + round(question), 1 + round(answer), in_target)
