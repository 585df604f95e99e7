"""From a mixture's tokens to the rows that training draws its batches from: they stay where they lie, on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crosstune.errors import BadInputError
from crosstune.recipe import Phase
from crosstune.train.mapped_pages import PagesAhead
from crosstune.train.row_index import Corpus, SegmentIndex, TokenValues, numbered_anew, read_index
from crosstune.train.too_long import TooLongExamples


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that attend to themselves only.

    Attributes:
        tokens: BOS, prompt, completion, EOS.
        num_prompt: how many leading tokens are given, not learnt; at least one, since nothing predicts the first.
        num_bytes: UTF-8 bytes of the supervised text, for bits per byte.
        language: code of the supervised text.
        source: the recipe's name of the corpus.
    """

    tokens: tuple[int, ...]
    num_prompt: int
    num_bytes: int
    language: str
    source: str

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


class Rows(Sequence[Row]):
    """Rows whose tokens stay on the disk: a row becomes Python when it is asked for.

    What is held in memory is the index, 40 bytes a row of one segment.

    Attributes:
        facts: of the segments, row after row.
        first: of each row its first segment, and behind the last row the number of segments, [rows + 1].
        corpora: every language and source of the rows, sorted.
    """

    def __init__(
        self,
        index: SegmentIndex,
        first: NDArray[np.int64],
        values: TokenValues,
        corpora: Sequence[Corpus],
        origins: pa.ChunkedArray,
    ) -> None:
        used, corpus = numbered_anew(index.corpus, len(corpora))
        self.facts = replace(index, corpus=corpus)
        self.corpora: list[Corpus] = [corpora[number] for number in used]
        self.first = first
        self._values, self._origins = values, origins

    @classmethod
    def of(cls, rows: Sequence[Row], origins: Sequence[str] = ()) -> Self:
        """Return rows that are made by hand and kept in memory, with the file and line of each segment, if any."""
        segments = [segment for row in rows for segment in row]
        corpora = sorted({segment.corpus for segment in segments})
        length = np.array([len(segment.tokens) for segment in segments], np.int32)
        index = SegmentIndex(
            start=np.cumsum(length, dtype=np.int64) - length,
            length=length,
            num_prompt=np.array([segment.num_prompt for segment in segments], np.int32),
            num_bytes=np.array([segment.num_bytes for segment in segments], np.int32),
            corpus=np.array([corpora.index(segment.corpus) for segment in segments], np.int32),
            example=np.arange(len(segments)),
        )
        values = TokenValues([np.array([token for segment in segments for token in segment.tokens], np.int32)])
        lines = pa.chunked_array([pa.array(origins or [""] * len(segments), pa.string())])
        first = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        return cls(index, first, values, corpora, lines)

    def __len__(self) -> int:
        return len(self.first) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return tuple(self.segments([index % len(self)]))

    @cached_property
    def apart(self) -> "Rows":
        """The same segments, each a row of its own."""
        return Rows(self.facts, np.arange(len(self.facts) + 1), self._values, self.corpora, self._origins)

    def segments(self, indices: Sequence[int] | NDArray[np.int64]) -> list[Segment]:
        """Return the segments of some rows, one row after the other."""
        # Of all rows at once: number by number, each would wait for the memory, the longer the larger the index is.
        facts = self.facts.take(self.numbers(indices))
        tokens = self._values.read(facts.start, facts.length)
        others = (facts.num_prompt.tolist(), facts.num_bytes.tolist(), facts.corpus.tolist())
        return [
            Segment(tuple(ids.tolist()), num_prompt, num_bytes, *self.corpora[corpus])
            for ids, num_prompt, num_bytes, corpus in zip(tokens, *others, strict=True)
        ]

    def numbers(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the segments of some rows as positions in the segment index."""
        chosen = np.asarray(indices, np.int64)
        sizes = self.first[chosen + 1] - self.first[chosen]
        begins: NDArray[np.int64] = np.repeat(self.first[chosen] - (np.cumsum(sizes) - sizes), sizes)
        return begins + np.arange(len(begins), dtype=np.int64)

    def tokens(self, numbers: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """Return views of the tokens of some segments."""
        return self._values.read(self.facts.start[numbers], self.facts.length[numbers])

    def pages_ahead(self) -> PagesAhead:
        """Return what maps the pages of all tokens before they are read."""
        return self._values.pages_ahead()

    def origin(self, number: int) -> str:
        """Return the file and line that a segment comes from."""
        return str(self._origins[int(self.facts.example[number])])

    def origins(self, indices: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Return the file and line of each segment of some rows: read only to be said, for they lie anywhere."""
        return [self.origin(number) for number in self.numbers(indices).tolist()]

    def lengths(self, indices: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the number of tokens of each row, or of some rows."""
        return self._sums(self.facts.length, indices)

    def supervised(self) -> NDArray[np.int64]:
        """Return the number of supervised tokens of each row."""
        return self._sums(self.facts.length - self.facts.num_prompt)

    def _sums(self, values: NDArray[np.int32], indices: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        if indices is None:
            return np.add.reduceat(values, self.first[:-1], dtype=np.int64)
        sizes = self.first[indices + 1] - self.first[indices]
        return np.add.reduceat(values[self.numbers(indices)], np.cumsum(sizes) - sizes, dtype=np.int64)


def make_rows(tokens: pa.Table, phase: Phase) -> tuple[Rows, TooLongExamples]:
    """Lay out a mixture's tokens in its order: instructions one to a row, documents packed into rows of maximum length.

    Of pairs a row holds both answers, which follow each other: the chosen one first.

    Raises:
        BadInputError: when an example is too long and the recipe does not say what then, or nothing is left.
    """
    examples, values, corpora = read_index(tokens)
    is_text = np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in tokens["is_text"].chunks] or [[]])
    is_text = is_text.astype(bool)
    instructions = examples.take(np.flatnonzero(~is_text)) if is_text.any() else examples
    instructions, too_long = _fit(instructions, phase, tokens["origin"])
    documents = _pieces(examples.take(np.flatnonzero(is_text)), phase.max_length_tokens)
    too_long.say(phase)
    if not len(instructions) and not len(documents):
        raise BadInputError(
            f"mixture {phase.mixture!r} has no usable row: its manifest.json says what was dropped, and "
            f"{len(too_long)} examples were longer than max_length_tokens={phase.max_length_tokens}"
        )
    rows_of_instructions = np.arange(0, len(instructions), _answers(phase))
    first = np.append(rows_of_instructions, len(instructions) + _pack(documents, phase.max_length_tokens))
    index = SegmentIndex.join([instructions, documents])
    return Rows(index, first, values, corpora, tokens["origin"]), too_long


def _answers(phase: Phase) -> int:
    """Return how many answers to an instruction make a row."""
    return 2 if phase.preference else 1


def _fit(instructions: SegmentIndex, phase: Phase, origins: pa.ChunkedArray) -> tuple[SegmentIndex, TooLongExamples]:
    """Treat instructions that are longer than the maximum as the recipe says; return what is left, and those."""
    limit = phase.max_length_tokens
    is_long = instructions.length > limit
    if not is_long.any():
        nothing = instructions.take(np.empty(0, np.intp))
        return instructions, TooLongExamples(nothing, np.empty(0, bool), origins)
    if phase.on_too_long == "stop":
        index = int(np.argmax(is_long))
        raise BadInputError(
            f"mixture {phase.mixture!r}: {origins[int(instructions.example[index])]} has {instructions.length[index]} "
            f"tokens, but max_length_tokens is {limit}: raise it, or set on_too_long to drop or truncate"
        )
    # A prompt that fills the row alone leaves nothing to learn.
    is_cut = is_long & (phase.on_too_long == "truncate") & (instructions.num_prompt < limit)
    too_long = TooLongExamples(instructions.take(np.flatnonzero(is_long)), is_cut[is_long], origins)
    supervised = instructions.length - instructions.num_prompt
    shorter = instructions.num_bytes.astype(np.int64) * (limit - instructions.num_prompt) // np.maximum(supervised, 1)
    cut = replace(
        instructions,
        length=np.where(is_cut, limit, instructions.length).astype(np.int32),
        num_bytes=np.where(is_cut, shorter, instructions.num_bytes).astype(np.int32),
    )
    # Without one of its answers a pair is none.
    is_dropped = (is_long & ~is_cut).reshape(-1, _answers(phase)).any(axis=1).repeat(_answers(phase))
    return cut.take(np.flatnonzero(~is_dropped)), too_long


def _pieces(documents: SegmentIndex, max_length: int) -> SegmentIndex:
    """Return documents as segments; one that is too long goes on in further segments.

    A further segment begins with the last token of the one before, which predicts its first: every token is supervised
    once, but for the very first.
    """
    step = max_length - 1
    num_learnt = documents.length.astype(np.int64) - 1
    num_pieces = -(-num_learnt // step)
    pieces = documents.take(np.repeat(np.arange(len(documents)), num_pieces))
    number = np.arange(len(pieces)) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    begin = number * step
    length = np.minimum(begin + max_length, pieces.length) - begin
    # A part's share of a document's bytes, by tokens; the parts of a document add up to the whole.
    all_learnt, size = pieces.length.astype(np.int64) - 1, pieces.num_bytes.astype(np.int64)
    borders = (np.rint(size * border / all_learnt) for border in (begin + length - 1, begin))
    num_bytes = np.subtract(*borders)
    return replace(
        pieces,
        start=pieces.start + begin,
        length=length.astype(np.int32),
        num_bytes=num_bytes.astype(np.int32),
    )


def _pack(pieces: SegmentIndex, max_length: int) -> NDArray[np.int64]:
    """Fill rows with documents in their order; one that does not fit begins the next row.

    Return the first document of each row, and behind them the number of documents.
    """
    ends = np.cumsum(pieces.length, dtype=np.int64)
    # If a row began with a document, where the next row would begin.
    following = np.searchsorted(ends, ends - pieces.length + max_length, side="right").data
    borders = [0]
    while borders[-1] < len(pieces):
        # A document is never longer than a row: each row takes one at least.
        borders.append(following[borders[-1]])
    return np.array(borders, np.int64)
