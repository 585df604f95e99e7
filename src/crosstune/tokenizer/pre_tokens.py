"""What a tokenizer's normalizer and pre-tokenizer make of a word: no merge reaches across the borders they draw."""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice, pairwise
from unicodedata import category

from crosstune.tokenizer.bpe import BORDER, METASPACE, BpeTokenizer

_IS_LETTERS = re.compile("(?:L. |M. |Zs |Cf )*").fullmatch


_WORDS_AT_ONCE = 1000


class _Kinds(dict[int, str]):
    """The general category of each character, looked up once."""

    def __missing__(self, code: int) -> str:
        self[code] = f"{category(chr(code))} "
        return self[code]


class PreTokens:
    """The parts of words, internally spelt, as if each word stood inside a text.

    Pre-tokenizers draw borders by what kind of letter a character is, so words of the same kinds are parted once: for a
    hundred megabytes of text, which hold a million words, that is a minute less.
    """

    def __init__(self, base: BpeTokenizer) -> None:
        self._base = base
        self._kinds = _Kinds()
        self._lengths: dict[str, list[int] | None] = {}

    def of(self, word: str) -> list[str]:
        """Return the parts of one word."""
        return self._of(word)

    def of_each(self, words: Iterable[str]) -> Iterator[list[str]]:
        """Yield the parts of each of many words: what the normalizer leaves as it is, is seen of many at once."""
        waiting = iter(words)
        while chunk := list(islice(waiting, _WORDS_AT_ONCE)):
            are_unchanged = not self._is_changed(BORDER.join(chunk))
            if are_unchanged and self._base.tokenizer.pre_tokenizer is None:
                yield from ([self._base.internal(word)] for word in chunk)
            else:
                yield from (self._of(word, are_unchanged) for word in chunk)

    def _of(self, word: str, is_unchanged: bool = False) -> list[str]:
        if self._base.tokenizer.pre_tokenizer is None and self._base.tokenizer.normalizer is None:
            return [self._base.internal(word)]
        shape = word.translate(self._kinds)
        # Single signs may have rules of their own, such as the apostrophe of 's.
        if not _IS_LETTERS(shape):
            return self._parted(word)
        if shape not in self._lengths:
            parts = self._parted(word)
            surfaces = [self._base.surface(part) or "" for part in parts]
            if "".join(surfaces) == word:
                self._lengths[shape] = [len(part) for part in surfaces]
            # What the normalizer changes says nothing of other words: NFC takes the য় of হয় apart, nothing of হল.
            elif is_unchanged or not self._is_changed(word):
                self._lengths[shape] = None
            return parts
        lengths = self._lengths[shape]
        if lengths is None or (not is_unchanged and self._is_changed(word)):
            return self._parted(word)
        return [self._base.internal(word[start:end]) for start, end in pairwise([0, *accumulate(lengths)])]

    def _is_changed(self, word: str) -> bool:
        """Return whether the normalizer does more to a word than to spell its spaces."""
        normalizer = self._base.tokenizer.normalizer
        if normalizer is None:
            return False
        normal: str = normalizer.normalize_str(BORDER + word)
        return not normal.replace(METASPACE, " ").endswith(BORDER + word)

    def _parted(self, word: str) -> list[str]:
        tokenizer, text = self._base.tokenizer, BORDER + word
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        parted = tokenizer.pre_tokenizer.pre_tokenize_str(normal) if tokenizer.pre_tokenizer else [(normal, None)]
        border = BORDER if self._base.style == "sentencepiece" else self._base.internal(BORDER)
        joined = "".join(part for part, _ in parted)
        before = joined.index(border) + len(border)
        ends = [0, *accumulate(len(part) for part, _ in parted)]
        parts = (joined[max(start, before) : end] for start, end in pairwise(ends))
        return [part for part in parts if part]


def num_tokens(base: BpeTokenizer, parts: Iterable[str]) -> int:
    """Return how many pieces a word's parts are cut into."""
    return sum(len(base.cut_ids(part)) for part in parts)
