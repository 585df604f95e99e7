"""From a mixture's tokens to the rows that training draws its batches from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from crosstune.errors import BadInputError
from crosstune.recipe import Phase
from crosstune.terminal import note

_CHUNK = 4096


# A language and a source: a source may hold several languages.
Corpus = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that attend to themselves only.

    Attributes:
        tokens: BOS, prompt, completion, EOS.
        num_prompt: how many leading tokens are given, not learnt; at least one, since nothing predicts the first.
        num_bytes: UTF-8 bytes of the supervised text, for bits per byte.
        language: ISO 639-1 code of the supervised text.
        source: the recipe's name of the corpus.
        origin: file and line of the raw row.
    """

    tokens: tuple[int, ...]
    num_prompt: int
    num_bytes: int
    language: str
    source: str
    origin: str

    @property
    def num_supervised(self) -> int:
        """Return the number of tokens that the loss counts."""
        return len(self.tokens) - self.num_prompt

    @property
    def corpus(self) -> Corpus:
        """Return what its loss is counted under."""
        return self.language, self.source


# One of the global batch: one instruction, or several short documents up to the maximum length.
Row = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TooLong:
    """An instruction that was longer than the maximum: how long, and whether it was cut or left out."""

    origin: str
    num_tokens: int
    treatment: Literal["cut", "left out"]


def make_rows(tokens: pa.Table, phase: Phase) -> tuple[list[Row], list[TooLong]]:
    """Lay out a mixture's tokens in its order: instructions one to a row, documents packed into rows of maximum length.

    Raises:
        BadInputError: when an example is too long and the recipe does not say what then, or nothing is left.
    """
    too_long: list[TooLong] = []
    instructions = _segments(tokens.filter(pc.invert(tokens["is_text"])))
    rows: list[Row] = [(segment,) for segment in _fit(instructions, phase, too_long)]
    documents = _segments(tokens.filter(tokens["is_text"]))
    rows += _pack(_pieces(documents, phase.max_length_tokens), phase.max_length_tokens)
    _say(too_long, phase)
    if not rows:
        raise BadInputError(
            f"mixture {phase.mixture!r} has no row to learn from: its manifest.json says what was dropped, and "
            f"{len(too_long)} examples were longer than max_length_tokens={phase.max_length_tokens}"
        )
    return rows, too_long


def _segments(tokens: pa.Table) -> Iterator[Segment]:
    for batch in tokens.to_batches(_CHUNK):
        column = batch.column("tokens")
        values = column.flatten().to_numpy().tolist()
        offsets = (column.offsets.to_numpy() - column.offsets[0].as_py()).tolist()
        others = [
            batch.column(name).to_pylist() for name in ("num_prompt", "num_bytes", "language", "source", "origin")
        ]
        for first, last, *facts in zip(offsets, offsets[1:], *others, strict=False):
            yield Segment(tuple(values[first:last]), *facts)


def _pieces(documents: Iterator[Segment], max_length: int) -> Iterator[Segment]:
    """Yield documents; one that is too long goes on in further segments.

    A further segment begins with the last token of the one before, which predicts its first: every token is supervised
    once, but for the very first.
    """
    for document in documents:
        tokens = document.tokens
        for first in range(0, len(tokens) - 1, max_length - 1):
            last = min(first + max_length, len(tokens))
            size = _bytes_between(document, (first, last - 1))
            yield replace(document, tokens=tokens[first:last], num_bytes=size)


def _bytes_between(document: Segment, place: tuple[int, int]) -> int:
    """Return a part's share of a document's bytes, by tokens; the parts of a document add up to the whole."""
    size, num_tokens = document.num_bytes, len(document.tokens) - 1
    return round(size * place[1] / num_tokens) - round(size * place[0] / num_tokens)


def _fit(segments: Iterator[Segment], phase: Phase, too_long: list[TooLong]) -> Iterator[Segment]:
    """Treat instructions that are longer than the maximum as the recipe says, and add them to ``too_long``."""
    limit = phase.max_length_tokens
    for segment in segments:
        if len(segment.tokens) <= limit:
            yield segment
            continue
        if phase.on_too_long == "stop":
            raise BadInputError(
                f"mixture {phase.mixture!r}: {segment.origin} has {len(segment.tokens)} tokens, but max_length_tokens "
                f"is {limit}: raise it, or set on_too_long to drop or truncate"
            )
        # A prompt that fills the row alone leaves nothing to learn.
        is_cut = phase.on_too_long == "truncate" and segment.num_prompt < limit
        too_long.append(TooLong(segment.origin, len(segment.tokens), "cut" if is_cut else "left out"))
        if is_cut:
            num_bytes = segment.num_bytes * (limit - segment.num_prompt) // segment.num_supervised
            yield replace(segment, tokens=segment.tokens[:limit], num_bytes=num_bytes)


def _say(too_long: Sequence[TooLong], phase: Phase) -> None:
    for treatment in ("cut", "left out"):
        origins = [row.origin for row in too_long if row.treatment == treatment]
        if origins:
            limit = phase.max_length_tokens
            note(f"{phase.mixture}: longer than {limit} tokens, {treatment}: {len(origins)} (first: {origins[0]})")


def _pack(segments: Iterator[Segment], max_length: int) -> list[Row]:
    """Fill rows with documents in their order; a document that does not fit begins the next row."""
    rows: list[Row] = []
    row: list[Segment] = []
    length = 0
    for segment in segments:
        if row and length + len(segment.tokens) > max_length:
            rows.append(tuple(row))
            row, length = [], 0
        row.append(segment)
        length += len(segment.tokens)
    return [*rows, tuple(row)] if row else rows
