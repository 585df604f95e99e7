"""What a tokenizer's normalizer and pre-tokenizer make of a word: no merge reaches across the borders they draw."""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice, pairwise
from typing import Any
from unicodedata import category

import regex

from crosstune.tokenizer.bpe import BORDER, METASPACE, BpeTokenizer

_IS_LETTERS = re.compile("(?:(?:L.|M.|Zs|Cf)[01]* )*").fullmatch
# What an expression says of single characters: a class without another in it, a property, a character beyond ASCII.
_SETS = re.compile(r"\[(?:\\.|[^\[\]\\])*\]|\\[pP]\{[^}]*\}|[^\x00-\x7f]")
_PROPERTIES = re.compile(r"\\[pP]\{\^?([^}]*)\}")
_IS_CATEGORY = re.compile("[LMNPSZ][a-z]?").fullmatch
_BY_SCRIPT = "UnicodeScripts"
_WORDS_AT_ONCE = 1000


class _Kinds(dict[int, str]):
    """The kind of each character, looked up once: its general category, and which of some sets hold it."""

    def __init__(self, sets: Iterable[str]) -> None:
        super().__init__()
        self._hold = [regex.compile(one, regex.V1).match for one in sets]

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = category(character) + "".join("01"[hold(character) is not None] for hold in self._hold) + " "
        return self[code]


class PreTokens:
    """The parts of words, internally spelt, as if each word stood inside a text.

    Pre-tokenizers draw borders by what kind of letter a character is, so words of the same kinds are parted once: for a
    hundred megabytes of text, which hold a million words, that is a minute less. Most know general categories alone;
    DeepSeek's has a part for kana and 一 to 龥, to which the ー of カー belongs and the 々 of 人々 does not.
    """

    def __init__(self, base: BpeTokenizer) -> None:
        self._base = base
        self._kinds = _kinds_for(base.content.get("pre_tokenizer") or {})
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
        shape = "" if self._kinds is None else word.translate(self._kinds)
        # Single signs may have rules of their own, such as the apostrophe of 's.
        if not shape or not _IS_LETTERS(shape):
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


def _kinds_for(pre_tokenizer: Any) -> _Kinds | None:
    """Return kinds of characters that a pre-tokenizer treats alike; None where they cannot be told."""
    patterns = [*_patterns(pre_tokenizer)]
    sets = dict.fromkeys(one for pattern in patterns for one in _SETS.findall(pattern))
    own = [one for one in sets if not one.isascii() or not all(map(_IS_CATEGORY, _PROPERTIES.findall(one)))]
    try:
        return None if _BY_SCRIPT in patterns else _Kinds(own)
    except regex.error:  # What Oniguruma knows beyond it.
        return None


def _patterns(part: Any) -> Iterator[str]:
    """Yield the expressions and the texts that a pre-tokenizer looks for, and the names of its parts."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, dict | list):
            yield from _patterns(value)
        elif key in ("Regex", "String", "type"):
            yield value


def num_tokens(base: BpeTokenizer, parts: Iterable[str]) -> int:
    """Return how many pieces a word's parts are cut into."""
    return sum(len(base.cut_ids(part)) for part in parts)
