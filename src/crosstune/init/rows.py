"""Rows as long as those that a mixture gives: what training costs depends on their lengths, not on what they say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from crosstune.init.corpus import Mixture
from crosstune.init.sources import Sources
from crosstune.recipe import Languages
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.train.rows import Rows, Segment

_NUM_ROWS = 256
# Tokens that a template and an instruction put around a text; what of them all rows begin with is computed once.
AROUND, _SHARED = 40, 25


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens as a tokenizer will cut them that does not exist yet.

    Attributes:
        saved: by what share new pieces shorten text in the target language.
        num_rows: of the model: its own pieces and the new ones.
        num_new: of them.
    """

    base: BpeTokenizer
    target: str
    saved: float
    num_rows: int
    num_new: int

    def without_new_pieces(self) -> "TokenCounter":
        """Return the counter of the model as it comes."""
        return replace(self, saved=0.0, num_rows=self.num_rows - self.num_new, num_new=0)

    def lengths(self, texts: Sequence[str], language: str) -> list[float]:
        """Return the tokens of texts in a language."""
        share = 1 - self.saved if language == self.target else 1.0
        return [share * len(ids) for ids in self.base.encode_lines(list(texts))]


class _Lengths(NamedTuple):
    """The tokens of a row: its prompt, its answer, and how many of both are text in the target language."""

    prompt: int
    answer: int
    in_target: float


@dataclass(frozen=True)
class DrawnRows:
    """Some rows for all of a mixture.

    Attributes:
        num_rows: of all of it, as training will lay them out.
        target_tokens_per_row: tokens of text in the target language, on average.
    """

    rows: Rows
    num_rows: float
    target_tokens_per_row: float = 0.0

    @cached_property
    def tokens_per_row(self) -> float:
        """Tokens of a row on average."""
        return float(self.rows.lengths().mean())


def draw(chosen: Sources, mixture: Mixture, languages: Languages, counter: TokenCounter, longest: int) -> DrawnRows:
    """Return rows of a mixture's lengths, of each source by its share; their tokens are drawn."""
    random = np.random.default_rng(0)
    begin = random.integers(0, counter.num_rows, _SHARED)
    rows, total, in_target = [], 0.0, 0.0
    for part in mixture.parts:
        name = part["source"]
        num_rows, found = _lengths(chosen, name, mixture, languages, counter, longest)
        total += num_rows
        wanted = max(1, round(_NUM_ROWS * mixture.shares[name]))
        for place in range(wanted if found else 0):
            prompt, answer, target_tokens = found[place % len(found)]
            in_target += target_tokens
            drawn = random.integers(0, counter.num_rows, prompt + answer)
            drawn[: min(_SHARED, prompt - 1)] = begin[: min(_SHARED, prompt - 1)]
            language = chosen.files[name].language or languages.target
            rows.append((Segment(tuple(drawn.tolist()), prompt, 4 * answer, language, name),))
    return DrawnRows(Rows.of(rows), max(1.0, total), in_target / max(1, len(rows)))


def _lengths(
    chosen: Sources, name: str, mixture: Mixture, languages: Languages, counter: TokenCounter, longest: int
) -> tuple[float, list[_Lengths]]:
    """Return how many rows a source gives, and the lengths of some of them."""
    file, kind = chosen.files[name], chosen.settings[name]["kind"]
    if kind == "text":
        # Documents are packed into full rows.
        read = [row["text"] for row in file.sample]
        rate = sum(counter.lengths(read, file.language)) / max(1, sum(map(len, read)))
        full = _Lengths(1, longest - 1, longest if file.language == languages.target else 0)
        return file.characters * rate / longest, [full]
    return mixture.num_rows * mixture.shares[name], [
        _Lengths(prompt, min(answer, longest - prompt), min(in_target, longest))
        for prompt, answer, in_target in _prompts_and_answers(chosen, name, languages, counter)
        if prompt < longest
    ]


def _prompts_and_answers(chosen: Sources, name: str, languages: Languages, counter: TokenCounter) -> Iterator[_Lengths]:
    file = chosen.files[name]
    if chosen.settings[name]["kind"] == "parallel":
        sides = [
            counter.lengths([row[code] for row in file.sample], code) for code in (languages.source, languages.target)
        ]
        for index, (first, second) in enumerate(zip(*sides, strict=True)):
            # Both directions, in turn.
            asked, answer = (first, second) if index % 2 else (second, first)
            yield _Lengths(AROUND + round(asked), 1 + round(answer), second)
    else:
        asked_for = ["\n".join(row[key] for key in row if key != "output") for row in file.sample]
        asked = counter.lengths(asked_for, file.language)
        answers = counter.lengths([row["output"] for row in file.sample], file.language)
        for prompt, reply in zip(asked, answers, strict=True):
            in_target = prompt + reply if file.language == languages.target else 0
            yield _Lengths(AROUND + round(prompt), 1 + round(reply), in_target)
