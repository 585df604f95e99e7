"""Texts as they are compared where leakage is looked for: without case, punctuation, spaces and forms of characters."""

import html
import re
import unicodedata

import regex

from crosstune.languages.writing_systems import UNSPACED_SCRIPTS

# Scripts written without spaces count by character, all others by word.
UNIT = regex.compile(rf"[{UNSPACED_SCRIPTS}]|[^\W_{UNSPACED_SCRIPTS}]+", flags=regex.V1)
# The same for most English and Korean texts, by the standard library's expressions: three times as fast.
_PLAIN = re.compile("[\0-\x7f\uac00-\ud7a3]*")
_PLAIN_UNIT = re.compile("[a-z0-9\uac00-\ud7a3]+")
# Zero-width spaces, soft hyphens, variation selectors, fillers of Hangul: nobody sees them inside a word.
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Variation_Selector}\p{Default_Ignorable_Code_Point}]+")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL)
# What JSON writes for line ends and characters, where a text was written twice.
_ESCAPED = re.compile(r"\\[nrt]|\\u([0-9a-fA-F]{4})")
_MOST_ESCAPES = 3
_NO_LETTERS = re.compile(r"[\W_]+")


def units(text: str) -> list[str]:
    """Return the words of a text, and the characters of scripts without spaces, in one form."""
    text = _unmarked(text)
    if _PLAIN.fullmatch(text):
        plain: list[str] = _PLAIN_UNIT.findall(text.lower())
        return plain
    found: list[str] = UNIT.findall(folded(text))
    return found


def _unmarked(text: str) -> str:
    """Return a text without the signs of HTML and of JSON around its letters, which may have been written twice."""
    if "\\" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    for _ in range(_MOST_ESCAPES):
        if "&" not in text or (plain := html.unescape(text)) == text:
            break
        text = plain
    return _TAG.sub(" ", text) if "<" in text else text


def letters(text_units: list[str]) -> str:
    """Return the letters and digits of a text's units, one behind the other."""
    joined = "".join(text_units)
    # Vowel signs and accents that stand on their own belong to words, but some texts leave them out.
    return joined if _PLAIN.fullmatch(joined) else _NO_LETTERS.sub("", joined)


def folded(text: str) -> str:
    """Return a text in NFKC, without case and invisible characters."""
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", text)
