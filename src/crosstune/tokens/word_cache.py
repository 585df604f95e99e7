"""Tokenise a corpus word by word, each word once, with tokenizers in which no piece crosses the border of a word.

There the tokens of a text are those of its words, one after the other: BPE joins neighbours, and where no piece spans a
border, what happens on one side changes nothing on the other. Words are found, counted and put together as arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crosstune.tokens.word_borders import Borders

NOTHING = pa.scalar("", pa.large_string())
# Words that are kept in memory: about 200 MB.
_MAX_WORDS = 1_000_000
# Unknown words are tokenized as the lines of texts of this many.
_WORDS_PER_TEXT = 64

Encode = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class EncodedPairs:
    """The tokens of pairs of texts, one pair after the other.

    Attributes:
        tokens: of all pairs.
        offsets: where each pair begins in ``tokens``, and the end.
        num_first: how many tokens the first text of each pair has.
        second_begins_a_word: whether no word could go on from the first text into the second.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    num_first: NDArray[np.int64]
    second_begins_a_word: NDArray[np.bool_]


def differ(left: EncodedPairs, right: EncodedPairs) -> NDArray[np.bool_]:
    """Return for each pair whether its tokens are others in the one than in the other."""
    sizes, other_sizes = np.diff(left.offsets), np.diff(right.offsets)
    result: NDArray[np.bool_] = sizes != other_sizes
    same = np.flatnonzero(~result)
    # Pairs of one size are compared token by token.
    unequal = left.tokens[np.repeat(~result, sizes)] != right.tokens[np.repeat(~result, other_sizes)]
    result[np.repeat(same, sizes[same])[unequal]] = True
    return result


class CachedWordTokenizer:
    """The words of a tokenizer that were met so far, with their tokens."""

    def __init__(self, borders: Borders, encode_behind: Encode, puts_a_space_before: bool) -> None:
        """``encode_behind`` tokenises texts as they stand behind other text."""
        self.borders = borders
        self._encode_behind = encode_behind
        self._before = " " if puts_a_space_before else ""
        self._forget()

    def can_encode(self, texts: pa.Array) -> pa.Array:
        """Return, for each text, whether its words show all that the tokenizer looks for."""
        apart = self.borders.apart
        # Tokenizers have hundreds of control tokens that begin alike: few texts have to be looked through for each.
        doubtful = np.flatnonzero(_hold(texts, sorted({text[:2] for text in apart})))
        held = np.zeros(len(texts), bool)
        held[doubtful] = _hold(texts.take(doubtful), apart)
        if self.borders.white:
            held |= np.asarray(pc.match_substring_regex(texts, self.borders.white))
        return pa.array(~held)

    def encode(self, first: pa.Array, second: pa.Array) -> EncodedPairs:
        """Return the tokens of pairs of texts (``large_string``); the second begins a word in any case."""
        before = pc.if_else(pc.equal(first, ""), NOTHING, self._before).cast(pa.large_string())
        joined = pc.binary_join_element_wise(before, first, second, NOTHING)
        data, row_starts = _buffers(joined)
        sizes = np.asarray(pc.add(pc.binary_length(before), pc.binary_length(first)), np.int64)
        borders = row_starts[:-1] + sizes
        is_start = self.borders.starts(data, row_starts)
        natural = is_start[borders]
        is_start[borders] = True
        starts = np.flatnonzero(is_start[: len(data)])
        tokens, ends = self._tokens_of(data, np.append(starts, len(data)))
        offsets = ends[np.searchsorted(starts, row_starts)]
        num_first = ends[np.searchsorted(starts, borders)] - offsets[:-1]
        return EncodedPairs(tokens, offsets, num_first, natural)

    def _tokens_of(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of words that lie one behind the other, and how many there are before each, and at last."""
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        words = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers).dictionary_encode()
        distinct = words.dictionary.to_pylist()
        self._learn(distinct)
        which = np.fromiter(map(self._index.__getitem__, distinct), np.int64, len(distinct))[words.indices]
        sizes = self._sizes[which]
        before = np.concatenate([[0], np.cumsum(sizes)])
        places = np.repeat((np.cumsum(self._sizes) - self._sizes)[which] - before[:-1], sizes) + np.arange(before[-1])
        return self._tokens[places], before

    def _forget(self) -> None:
        # Arrays, not a list for each word: the garbage collector would look through a million lists again and again.
        self._index = dict[str, int]()
        self._tokens, self._sizes = np.empty(0, np.int32), np.empty(0, np.int64)
        self._learn(["\n"])

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._index) + len(words) > _MAX_WORDS:
            self._forget()
        new = [word for word in words if word not in self._index]
        tokens, sizes = self._of_lines(new) if self.borders.by_lines and self._index else self._of_texts(new)
        self._tokens = np.concatenate([self._tokens, tokens])
        self._sizes = np.concatenate([self._sizes, sizes])
        self._index.update(zip(new, range(len(self._index), len(self._sizes)), strict=True))

    def _of_texts(self, words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of words, each a text of its own, and how many each has."""
        found = self._encode_behind(words)
        return np.fromiter(chain.from_iterable(found), np.int32), np.fromiter(map(len, found), np.int64, len(found))

    def _of_lines(self, words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the same of words as the lines of a text, in a fourth of the time."""
        newline = self._tokens[0]
        texts = ["\n".join(words[first : first + _WORDS_PER_TEXT]) for first in range(0, len(words), _WORDS_PER_TEXT)]
        lines = chain.from_iterable((*tokens, newline) for tokens in self._encode_behind(texts))
        tokens = np.fromiter(lines, np.int32)
        is_end = tokens == newline
        return tokens[~is_end], np.diff(np.flatnonzero(is_end), prepend=-1) - 1


def _hold(texts: pa.Array, parts: Sequence[str]) -> NDArray[np.bool_]:
    """Return, for each text, whether any of some others is a part of it."""
    found = reduce(pc.or_, (pc.match_substring(texts, part) for part in parts))
    return np.asarray(found, bool)


def _buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of all texts, and where each begins, and the end."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    return content[starts[0] : starts[-1]], starts - starts[0]
