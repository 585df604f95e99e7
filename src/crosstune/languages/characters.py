"""Which characters are the target language's own: its letters, and the Korean syllables that every piece list needs."""

import re
from collections import Counter
from collections.abc import Iterable

from crosstune.errors import BadInputError

# Ranges of the letters that no Latin text contains. New pieces consist of nothing else (and a leading space).
_LETTERS = {
    "ar": "\u0620-\u064a\u064b-\u0652\u0671-\u06d3",
    "el": "\u0370-\u0373\u0376-\u037d\u0386-\u03ff\u1f00-\u1fff",
    "he": "\u0591-\u05c7\u05d0-\u05ea",
    "hi": "\u0900-\u0963\u0970-\u097f",
    "ja": "\u3005\u3041-\u309f\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff",
    "ko": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "ru": "\u0400-\u052f",
    "th": "\u0e01-\u0e4e",
    "uk": "\u0400-\u052f",
    "zh": "\u3005\u3400-\u4dbf\u4e00-\u9fff",
}
_LATIN = "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
ALL_SYLLABLES = tuple(chr(code) for code in range(0xAC00, 0xD7A4))


def letters_of(language: str) -> str:
    """Return the letters of a target language as the inside of a regular expression's class.

    Raises:
        BadInputError: for a language without letters of its own here.
    """
    if language not in _LETTERS:
        raise BadInputError(
            f"languages.target: {language!r} was asked, but new pieces are learnt from letters that the source "
            f"language does not use, and none are known for it. Possible: {', '.join(_LETTERS)}. For another language "
            "give a ready extended tokenizer (`extension: {kind: given, path: ...}`) or add its letters to "
            "tokenizer/characters.py."
        )
    return _LETTERS[language]


def letters_of_source(language: str) -> str:
    """Return the letters of a source language: Latin, and its own script where it has one."""
    return _LATIN + _LETTERS.get(language, "")


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
