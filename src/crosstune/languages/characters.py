"""Which characters are the target language's own: its letters, and the Korean syllables that every piece list needs."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from unicodedata import normalize

import regex

from crosstune.languages.registry import language, shares_letters

# Zero width: they say how the letters beside them join (می‌خواهم, ක්‍ෂ).
JOINERS = "\u200c\u200d"
ALL_SYLLABLES = tuple(chr(code) for code in range(0xAC00, 0xD7A4))


@cache
def letters_of(code: str, besides: str | None = None) -> str:
    """Return a language's letters, and the marks on them, as the inside of a class of the ``re`` module.

    ``besides`` names a language whose letters, and what stands on them, are left out; one that has them all leaves out
    nothing.
    """
    own = language(code).own_scripts
    others = language(besides).scripts if besides and not shares_letters(code, besides) else ()
    # Extensions: the vowel signs of Arabic belong to Syriac as well, the long sign of kana to two scripts.
    wanted = "".join(rf"\p{{scx={script}}}" for script in own)
    unwanted = "".join(rf"\p{{scx={script}}}" for script in others) or r"\p{Cn}"
    found = regex.findall(rf"[[{wanted}]--[{unwanted}]]", _all_letters(), regex.V1)
    return as_ranges(found)


def word_of(letters: str) -> str:
    """Return the regular expression of a run of letters, of which joiners are a part."""
    return f"[{letters}][{letters}{JOINERS}]*"


def letters_of_source(code: str) -> str:
    """Return the letters of a source language: Latin, and its own scripts."""
    return letters_of("en") + letters_of(code)


def every_letter(code: str, besides: str | None = None) -> list[str]:
    """Return each letter of a language that stands for itself: composed ones in the form that NFC gives."""
    is_letter = re.compile(f"[{letters_of(code, besides)}]").fullmatch
    return [letter for letter in _all_letters() if is_letter(letter) and normalize("NFC", letter) == letter]


@cache
def beginning_alike(code: str, besides: str) -> str:
    """Return characters whose first two bytes are those of a language's letters, as the inside of a class; its own too.

    Byte-level pieces of the letters make the others shorter as well: ๑ and ฿ beside Thai letters.
    """
    blocks = {_two_bytes(ord(letter)) for letter in every_letter(code, besides)}
    long = (code_point for block in blocks if block for code_point in range(block[0], block[1]))
    return as_ranges(map(chr, long))


def _two_bytes(code_point: int) -> tuple[int, int] | None:
    """Return the range of code points that begin with the same two bytes of UTF-8; None where these are the whole."""
    size = 0 if code_point < 0x800 else 1 << (6 if code_point < 0x10000 else 12)
    return (code_point // size * size, code_point // size * size + size) if size else None


def as_ranges(characters: Iterable[str]) -> str:
    """Return characters as ranges for the inside of a class: ``a-ce``."""
    codes = sorted(map(ord, characters))
    borders = [index for index in range(1, len(codes)) if codes[index] != codes[index - 1] + 1]
    runs = [codes[start:end] for start, end in pairwise([0, *borders, len(codes)])] if codes else []
    return "".join(chr(run[0]) if len(run) == 1 else f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


@cache
def _all_letters() -> str:
    # All but surrogates. Run by run, it takes a tenth of the time.
    everything = "".join((*map(chr, range(0xD800)), *map(chr, range(0xE000, sys.maxunicode + 1))))
    return "".join(regex.findall(r"[\p{L}\p{M}]+", everything))


def ks_x_1001_syllables() -> tuple[str, ...]:
    """Return the 2,350 syllables of KS X 1001, which cover ordinary Korean text."""

    # Python's codec spells the other 8,822 syllables with eight bytes.
    def has_code(syllable: str) -> bool:
        return len(syllable.encode("euc_kr")) == 2

    return tuple(filter(has_code, ALL_SYLLABLES))


def covering(counts: Counter[str], share: float) -> list[str]:
    """Return the most frequent characters that make up a share of a text, in code point order."""
    wanted = share * counts.total()
    kept = []
    seen = 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= wanted:
            break
        kept.append(character)
        seen += count
    return sorted(kept)


def count_characters(words: Counter[str]) -> Counter[str]:
    """Return how often each character occurs in counted words."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    return counts


def count_words(texts: Iterable[str], pattern: str) -> Counter[str]:
    """Return how often each match of a pattern occurs, in one pass over the texts."""
    find = re.compile(pattern).findall
    words: Counter[str] = Counter()
    for text in texts:
        words.update(find(text))
    return words
