"""Tokenise a corpus word by word, each word once, with tokenizers in which no piece crosses the front of a word.

There the tokens of a text are those of its words, one after the other: BPE joins neighbours, and where no piece spans a
border, what happens on one side changes nothing on the other. Words are found, counted and put together as arrays.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

SPACE = "▁"
NOTHING = pa.scalar("", pa.large_string())
# Words that are kept in memory: about 200 MB.
_MAX_WORDS = 1_000_000
# Unknown words are tokenised as the lines of texts of this many.
_WORDS_PER_TEXT = 64

Encode = Callable[[Sequence[str]], list[list[int]]]


def cuts_at_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer's vocabulary shows that its tokens of a text are those of the words, in order."""
    if not _is_sentencepiece(tokenizer.backend_tokenizer):
        return False
    vocabulary = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    # Without a byte's piece, unknown characters would be joined across words.
    has_bytes = all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    crossing = (piece for piece in vocabulary if SPACE in piece.lstrip(SPACE) or ("\n" in piece and piece != "\n"))
    return has_bytes and next(crossing, None) is None


def _is_sentencepiece(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer is plain BPE over text in which spaces are written as ``▁``."""
    model, normalizer = tokenizer.model, tokenizer.normalizer
    if not isinstance(model, BPE) or tokenizer.pre_tokenizer is not None or normalizer is None:
        return False
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    steps = json.loads(normalizer.__getstate__()).get("normalizers")
    plain = not any((model.dropout, model.ignore_merges, model.continuing_subword_prefix, model.end_of_word_suffix))
    return model.byte_fallback and plain and steps in ([prepend, replace], [replace])


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


def first_word(text: str) -> str:
    """Return what of a text may belong to a word that began before it."""
    return text[: len(text) - len(text.lstrip(" "))] + re.split("[ \n]", text.lstrip(" "), maxsplit=1)[0]


def last_word(text: str) -> str:
    """Return a text that ends in the same word and has no other."""
    before = text[: max(text.rfind(" "), text.rfind("\n")) + 1].rstrip(" ")
    # Behind a newline, no space is put before the word.
    return "\n" + text[len(before) :] if before else text


class CachedWordTokenizer:
    """The words of a tokenizer that were met so far, with their tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, encode_behind: Encode, puts_a_space_before: bool) -> None:
        """``encode_behind`` tokenises texts as they stand behind other text."""
        self._encode_behind = encode_behind
        self._before = " " if puts_a_space_before else ""
        # The tokenizer finds added tokens inside words, and takes the sign for a space as a space.
        self._apart = [SPACE, *(token.content for token in tokenizer.added_tokens_decoder.values())]
        ((self._newline,),) = encode_behind(["\n"])
        self._forget()

    def can_encode(self, texts: pa.Array) -> pa.Array:
        """Return, for each text, whether its words show all that the tokenizer looks for."""
        return pc.invert(reduce(pc.or_, (pc.match_substring(texts, text) for text in self._apart)))

    def encode(self, first: pa.Array, second: pa.Array) -> EncodedPairs:
        """Return the tokens of pairs of texts (``large_string``); the second begins a word in any case."""
        before = pc.if_else(pc.equal(first, ""), NOTHING, self._before).cast(pa.large_string())
        joined = pc.binary_join_element_wise(before, first, second, NOTHING)
        data, row_starts = _buffers(joined)
        sizes = np.asarray(pc.add(pc.binary_length(before), pc.binary_length(first)), np.int64)
        borders = row_starts[:-1] + sizes
        is_start = _word_starts(data, row_starts)
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
        self._index = {"\n": 0}
        self._tokens = np.array([self._newline], np.int32)
        self._sizes = np.array([1])

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._index) + len(words) > _MAX_WORDS:
            self._forget()
        new = [word for word in words if word not in self._index]
        # As the lines of one text, words take a fourth of the time that so many texts take.
        texts = ["\n".join(new[first : first + _WORDS_PER_TEXT]) for first in range(0, len(new), _WORDS_PER_TEXT)]
        lines = chain.from_iterable((*tokens, self._newline) for tokens in self._encode_behind(texts))
        tokens = np.fromiter(lines, np.int32)
        is_end = tokens == self._newline
        self._tokens = np.concatenate([self._tokens, tokens[~is_end]])
        self._sizes = np.concatenate([self._sizes, np.diff(np.flatnonzero(is_end), prepend=-1) - 1])
        self._index.update(zip(new, range(len(self._index), len(self._sizes)), strict=True))


def _buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of all texts, and where each begins, and the end."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    return content[starts[0] : starts[-1]], starts - starts[0]


def _word_starts(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each byte, and the end, whether a word begins there.

    A newline is a word, and a run of spaces belongs to the word behind it.
    """
    is_newline, is_space = data == ord("\n"), data == ord(" ")
    is_start = np.zeros(len(data) + 1, bool)
    is_start[:-1] = is_newline | is_space
    is_start[1:-1] &= ~(is_space[:-1] & is_space[1:])
    is_start[1:] |= is_newline
    is_start[row_starts] = True
    return is_start
