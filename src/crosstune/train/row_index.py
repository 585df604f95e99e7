"""Where the segments of rows lie in the tokens on the disk: one number an array for each, whatever their length."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crosstune.train.mapped_pages import PagesAhead

Corpus = tuple[str, str]
"""A language and a source: a source may hold several languages."""


@dataclass(frozen=True)
class SegmentIndex:
    """What is known of segments beside their tokens, an array each: 32 bytes a segment.

    Attributes:
        start: of the first token, in the tokens of the whole mixture.
        length: in tokens.
        num_prompt: how many leading tokens are given, not learnt.
        num_bytes: UTF-8 bytes of the supervised text.
        corpus: the index of its language and source in the corpora.
        example: the row of the tokens' table.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    num_prompt: NDArray[np.int32]
    num_bytes: NDArray[np.int32]
    corpus: NDArray[np.int32]
    example: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, indices: NDArray[np.intp]) -> Self:
        """Return the segments at some indices, which may repeat."""
        return type(self)(*(getattr(self, field.name)[indices] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the segments of all parts, one part after the other."""
        filled = [part for part in parts if len(part)] or list(parts[:1])
        if len(filled) == 1:
            return filled[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in filled]) for field in fields(cls)))


class TokenValues:
    """The tokens of a table, one after the other, as they lie in memory or mapped from the disk."""

    def __init__(self, chunks: Sequence[NDArray[np.int32]]) -> None:
        self._chunks = [chunk for chunk in chunks if len(chunk)]
        self._borders = np.cumsum([0, *(len(chunk) for chunk in self._chunks)], dtype=np.int64)

    def read(self, starts: NDArray[np.int64], lengths: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """Return views of some stretches, each of which must lie in one chunk, as the tokens of an example do."""
        chunks = np.searchsorted(self._borders, starts, side="right") - 1
        begins = starts - self._borders[chunks]
        places = zip(chunks.tolist(), begins.tolist(), (begins + lengths).tolist(), strict=True)
        return [self._chunks[chunk][begin:end] for chunk, begin, end in places]

    def pages_ahead(self) -> PagesAhead:
        """Return what maps the pages of all tokens before they are read."""
        return PagesAhead(self._chunks)


def read_index(tokens: pa.Table) -> tuple[SegmentIndex, TokenValues, list[Corpus]]:
    """Return the index of a mixture's examples, a segment each, their tokens, and the corpora in alphabetical order."""
    views, starts, lengths = [], [], []
    start = 0
    for chunk in tokens["tokens"].chunks:
        offsets = chunk.offsets.to_numpy()
        views.append(chunk.values.to_numpy()[offsets[0] : offsets[-1]])
        starts.append(offsets[:-1] - offsets[0] + start)
        lengths.append(np.diff(offsets).astype(np.int32))
        start += len(views[-1])
    corpus, corpora = _corpora(tokens)
    index = SegmentIndex(
        start=np.concatenate(starts or [np.empty(0, np.int64)]),
        length=np.concatenate(lengths or [np.empty(0, np.int32)]),
        num_prompt=tokens["num_prompt"].to_numpy(),
        num_bytes=tokens["num_bytes"].to_numpy(),
        corpus=corpus,
        example=np.arange(len(tokens)),
    )
    return index, TokenValues(views), corpora


def _corpora(tokens: pa.Table) -> tuple[NDArray[np.int32], list[Corpus]]:
    """Return the index of each example's corpus, and the corpora."""
    languages, of_language = _numbered(tokens["language"])
    sources, of_source = _numbered(tokens["source"])
    used, corpus = numbered_anew(of_language * max(1, len(sources)) + of_source, len(languages) * len(sources))
    corpora = [(languages[pair // len(sources)], sources[pair % len(sources)]) for pair in used]
    return corpus, corpora


def numbered_anew(values: NDArray[np.int32], limit: int) -> tuple[list[int], NDArray[np.int32]]:
    """Return which numbers below a limit occur, in their order, and each one's place among them.

    As `np.unique` does, which sorts all of them: a second of ten million rows' three.
    """
    occurs = np.bincount(values, minlength=limit) > 0
    return np.flatnonzero(occurs).tolist(), (np.cumsum(occurs, dtype=np.int32) - 1)[values]


def _numbered(texts: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Return the different texts in alphabetical order, and each text's index among them."""
    encoded = [chunk.dictionary_encode() for chunk in texts.chunks]
    different = sorted({text for chunk in encoded for text in chunk.dictionary.to_pylist()})
    indices = {text: index for index, text in enumerate(different)}
    numbers = [
        np.array([indices[text] for text in chunk.dictionary.to_pylist()], np.int32)[chunk.indices.to_numpy()]
        for chunk in encoded
        if len(chunk)
    ]
    return different, np.concatenate(numbers or [np.empty(0, np.int32)])
