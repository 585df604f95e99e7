"""Tokenise a corpus word by word, each word once, with tokenizers in which no piece crosses the border of a word.

There the tokens of a text are those of its words, one after the other: BPE joins neighbours, and where no piece spans a
border, what happens on one side changes nothing on the other. Words are found, counted and put together as arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, pairwise, repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crosstune.prompts.controls import TEXT
from crosstune.tokens.added_tokens import AddedTokens, CutPairs, buffers
from crosstune.tokens.word_borders import Borders

# Not by pa.scalar: that imports pandas, for which who chats would wait.
NOTHING = pa.LargeStringArray.from_buffers(1, pa.py_buffer(np.zeros(2, np.int64)), pa.py_buffer(b""))[0]
# Words that are kept in memory: about 200 MB.
_MAX_WORDS = 1_000_000
# So many unknown words are tokenized as one text.
_WORDS_PER_TEXT = 64

Encode = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class EncodedPairs:
    """The tokens of pairs of texts, one pair after the other.

    Attributes:
        tokens: of all pairs.
        offsets: where each pair begins in ``tokens``, and the end.
        num_first: how many tokens the first text of each pair has.
        crosses: whether a pair as one text has other tokens, of a word that goes on from the first into the second.
        crossing: the parts of such a word in the two texts, each pair of parts once.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    num_first: NDArray[np.int64]
    crosses: NDArray[np.bool_]
    crossing: list[tuple[str, str]]


class CachedWordTokenizer:
    """The words of a tokenizer that were met so far, with their tokens.

    Attributes:
        joins: the parts of words across the border of two texts that are known to say together what they say apart.
    """

    def __init__(self, borders: Borders, added: AddedTokens, encode_behind: Encode, puts_a_space_before: bool) -> None:
        """``encode_behind`` tokenises texts as they stand behind other text."""
        self.borders = borders
        self.encode_behind = encode_behind
        self._added = added
        self._before = " " if puts_a_space_before else ""
        self._forget()

    def cut(self, first: pa.Array, second: pa.Array) -> tuple[NDArray[np.bool_], CutPairs]:
        """Return which pairs of texts (``large_string``) can be encoded by their words, and these, ready for it."""
        # What must not be there may stand across the border, too.
        joined = pc.binary_join_element_wise(first, second, NOTHING)
        num_first = np.asarray(pc.binary_length(first), np.int64)
        can_be = self._can_encode(joined)
        while True:
            pairs = self._added.cut(joined.filter(can_be), num_first[can_be], bool(self._before))
            if pairs.is_clear.all():
                return can_be, pairs
            can_be[can_be] = pairs.is_clear

    def _can_encode(self, texts: pa.Array) -> NDArray[np.bool_]:
        """Return, for each text, whether its words show all that the tokenizer looks for."""
        apart = (TEXT, *self.borders.apart, *self._added.unclear)
        # Tokens may be hundreds that begin alike: few texts have to be looked through for each.
        doubtful = np.flatnonzero(_hold(texts, sorted({text[:2] for text in apart})))
        held = np.zeros(len(texts), bool)
        held[doubtful] = _hold(texts.take(doubtful), apart)
        if self.borders.white:
            held |= np.asarray(pc.match_substring_regex(texts, self.borders.white))
        return ~held

    def encode(self, pairs: CutPairs) -> EncodedPairs:
        """Return the tokens of pairs of texts, each tokenized apart."""
        if self._before:
            pairs = pairs.with_spaces()
        data, row_starts, borders = pairs.data, pairs.row_starts, pairs.borders
        is_start = self.borders.starts(data, pairs.edges())
        # An added token is a word that needs no tokenizer.
        is_start[pairs.inside()] = False
        # Only where a word of the first text may go on into the second, the whole may have other tokens: in that word.
        doubtful = np.flatnonzero(~is_start[borders])
        is_start[borders] = True
        starts = np.flatnonzero(is_start)
        tokens, ends = self._tokens_of(data, starts)
        offsets = ends[np.searchsorted(starts, row_starts)]
        at_border = np.searchsorted(starts, borders)
        crosses = np.zeros(len(borders), bool)
        words = starts[at_border[doubtful, None] + (-1, 0, 1)]
        crosses[doubtful] = self._differ(data, words, tokens, ends[at_border[doubtful, None] + (-1, 0, 1)])
        at_front = row_starts[:-1][doubtful] == words[:, 0]
        crossing = self._texts(data, words[crosses[doubtful]], at_front[crosses[doubtful]])
        return EncodedPairs(tokens, offsets, ends[at_border] - offsets[:-1], crosses, crossing)

    def _tokens_of(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of words that lie one behind the other, and how many there are before each, and at last."""
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        words = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers).dictionary_encode()
        distinct = words.dictionary.to_pylist()
        self._learn(distinct)
        which = np.fromiter(map(self._index.__getitem__, distinct), np.int64, len(distinct))[words.indices]
        return _gather(self._tokens, self._places[which], self._sizes[which])

    def _differ(
        self, data: NDArray[np.uint8], words: NDArray[np.int64], tokens: NDArray[np.int32], places: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return for words whether they have other tokens than their two parts.

        ``words`` are rows of three places in ``data``, where the parts begin and the end; ``places`` the same in
        ``tokens``.
        """
        whole, offsets = self._tokens_of(*_gather(data, words[:, 0], words[:, 2] - words[:, 0]))
        sizes = places[:, 2] - places[:, 0]
        result: NDArray[np.bool_] = sizes != np.diff(offsets)
        same = np.flatnonzero(~result)
        # Words of one size are compared token by token.
        apart, at_once = _gather(tokens, places[same, 0], sizes[same]), _gather(whole, offsets[same], sizes[same])
        result[np.repeat(same, sizes[same])[apart[0] != at_once[0]]] = True
        return result

    def _texts(
        self, data: NDArray[np.uint8], words: NDArray[np.int64], is_first: NDArray[np.bool_]
    ) -> list[tuple[str, str]]:
        """Return the two parts of words as texts; ``is_first``: whether a word is the first one of its text."""
        found = dict[tuple[str, str], None]()
        for (begin, border, end), first in zip(words.tolist(), is_first.tolist(), strict=True):
            left, right = data[begin:border].tobytes().decode(), data[border:end].tobytes().decode()
            # Behind a newline, no space is put before a word.
            left = left.removeprefix(self._before) if first else "\n" + left if self._before else left
            found[left, right] = None
        return list(found)

    def _forget(self) -> None:
        # Arrays, not a list for each word: the garbage collector would look through a million lists again and again.
        self._index = dict[str, int]()
        self.joins = set[tuple[str, str]]()
        self._tokens = np.empty(0, np.int32)
        self._places, self._sizes = np.empty(0, np.int64), np.empty(0, np.int64)

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._index) + len(words) > _MAX_WORDS:
            self._forget()
        unknown = [word for word in words if word not in self._index]
        added = [word for word in unknown if word in self._added.ids]
        # What begins with a space can follow other words in one text, most others can follow a newline.
        spaced = [word for word in unknown if word not in self._added.ids and word.startswith(" ")]
        others = [word for word in unknown if word not in self._added.ids and not word.startswith(" ")]
        parts = [*spaced, *chain.from_iterable(zip(repeat("\n"), others, strict=False))]
        if parts:
            tokens, sizes = self._of_words(parts)
            is_asked = np.ones(len(parts), bool)
            is_asked[len(spaced) :: 2] = False
            self._keep([*spaced, *others], tokens[np.repeat(is_asked, sizes)], sizes[is_asked])
        if added:
            tokens = np.array([self._added.ids[word] for word in added], np.int32)
            self._keep(added, tokens, np.ones(len(added), np.int64))

    def _keep(self, words: Sequence[str], tokens: NDArray[np.int32], sizes: NDArray[np.int64]) -> None:
        self._index.update(zip(words, range(len(self._index), len(self._index) + len(sizes)), strict=True))
        self._sizes = np.concatenate([self._sizes, sizes])
        self._places = np.cumsum(self._sizes) - self._sizes
        self._tokens = np.concatenate([self._tokens, tokens])

    def _of_words(self, words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of words and how many each has: of many at once, where they may stand in one text."""
        data, places = buffers(pa.array(words, pa.large_string()))
        ends = places[1:]
        begins_text = ~self.borders.starts(data, places[[0, -1]])[ends[:-1]]
        begins_text[_WORDS_PER_TEXT - 1 :: _WORDS_PER_TEXT] = True
        firsts = [0, *(np.flatnonzero(begins_text) + 1).tolist(), len(words)]
        found = self.encode_behind(["".join(words[first:last]) for first, last in pairwise(firsts)])
        tokens = np.fromiter(chain.from_iterable(found), np.int32)
        sizes = _sizes_of_words(self.borders.bytes_of[tokens], ends)
        if sizes is not None:
            return tokens, sizes
        # A tokenizer that writes accents and letters as one has other bytes than these texts.
        found = self.encode_behind(words)
        return np.fromiter(chain.from_iterable(found), np.int32), np.fromiter(map(len, found), np.int64, len(found))


def _sizes_of_words(bytes_of_tokens: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return how many tokens each of some words has that end at these bytes; None where tokens end elsewhere.

    Tokens of 1, 2 and 3 bytes are two of a word of three bytes and one of the next:

    >>> _sizes_of_words(np.array([1, 2, 3]), np.array([3, 6])).tolist()
    [2, 1]
    """
    ends_of_tokens = np.cumsum(bytes_of_tokens)
    if not len(ends_of_tokens) or ends_of_tokens[-1] != ends[-1]:
        return None
    last = np.searchsorted(ends_of_tokens, ends)
    if (ends_of_tokens[last] != ends).any():
        return None
    return np.diff(last + 1, prepend=0)


def _gather(
    values: NDArray[Any], places: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return stretches of some values, one behind the other, and where each begins, and the end.

    >>> values, offsets = _gather(np.array([10, 11, 12, 13]), np.array([2, 0]), np.array([2, 1]))
    >>> values.tolist(), offsets.tolist()
    ([12, 13, 10], [0, 2, 3])
    """
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return values[np.repeat(places - offsets[:-1], sizes) + np.arange(offsets[-1])], offsets


def _hold(texts: pa.Array, parts: Sequence[str]) -> NDArray[np.bool_]:
    """Return, for each text, whether any of some others is a part of it."""
    found = reduce(pc.or_, (pc.match_substring(texts, part) for part in parts))
    return np.asarray(found, bool)
