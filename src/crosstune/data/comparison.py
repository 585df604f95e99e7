"""Texts as they are compared where leakage is looked for: without case, punctuation, spaces and forms of characters."""

import html
import re
import sys
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
# What JSON and programs write for line ends and characters, where a text was written twice.
_ESCAPED = re.compile(r"\\[nrt]|\\u([0-9a-fA-F]{4})|\\u\{([0-9a-fA-F]{1,6})\}|\\U([0-9a-fA-F]{8})")
# Bytes of UTF-8 as addresses (%EC%95%88) and Python (\xec\x95\x88) write them.
_BYTES = re.compile(r"(?:(?:%|\\x)[0-9a-fA-F]{2})+")
# Targets of links around words, and numbers of notes: "the [man](https://...) came [1]".
_LINK_OR_NOTE = re.compile(r"\]\([^()\s]*\)|\[\^?\d{1,3}\]")
_MOST_ESCAPES = 8
# Accents and vowel signs that stand on their own belong to words, but some texts leave them out. Letters that look
# like apostrophes, strokes and dots (U+02BC, the tatweel, Hangul's arae-a) stand in the place of signs.
_NO_LETTERS = re.compile("[\\W_\u02b0-\u02ff\u0640\u119e\u318d\ua78b\ua78c]+")
# Letters of Greek and Cyrillic that look like Latin ones.
_LATIN = str.maketrans("авекмнорстухѕіјһԁԛԝαβεηικμνορτυχ", "abekmhopctyxsijhdqwabenikuvoptux")


def units(text: str) -> list[str]:
    """Return the words of a text, and the characters of scripts without spaces, in one form."""
    text = unmarked(text)
    if text.isascii() or _PLAIN.fullmatch(text):
        plain: list[str] = _PLAIN_UNIT.findall(text.lower())
        return plain
    found: list[str] = UNIT.findall(folded(text))
    return found


def unmarked(text: str) -> str:
    """Return a text without the signs of HTML and of JSON around its letters, which may have been written twice."""
    if "%" in text or "\\x" in text:
        text = _BYTES.sub(_decoded, text)
    if "\\" in text:
        text = _ESCAPED.sub(_character, text)
    for _ in range(_MOST_ESCAPES):
        if "&" not in text or (plain := html.unescape(text)) == text:
            break
        text = plain
    if "[" in text:
        text = _LINK_OR_NOTE.sub(" ", text)
    return _TAG.sub(" ", text) if "<" in text else text


def _decoded(written: re.Match[str]) -> str:
    """Return the text of bytes; those that are none stay as they are ("%fdirective"), or are characters (\\xe9)."""
    try:
        return bytes.fromhex(re.sub(r"%|\\x", "", written[0])).decode("utf-8")
    except UnicodeDecodeError:
        return re.sub(r"\\x(..)", lambda code: chr(int(code[1], 16)), written[0])


def _character(escaped: re.Match[str]) -> str:
    """Return what an escape stands for: a space for a line end."""
    number = int(next(filter(None, escaped.groups()), "20"), 16)
    return chr(number) if number <= sys.maxunicode else " "


def inside_tags(text: str) -> str:
    """Return what stands between the angle brackets of a text: comments, descriptions of pictures, answers of forms."""
    return " ".join(tag[1:-1] for tag in _TAG.findall(text)) if "<" in text else ""


def letters(text_units: list[str]) -> str:
    """Return the letters and digits of a text's units, one behind the other."""
    joined = "".join(text_units)
    if joined.isascii() or _PLAIN.fullmatch(joined):
        return joined
    bare = _NO_LETTERS.sub("", unicodedata.normalize("NFD", joined).translate(_LATIN))
    return unicodedata.normalize("NFC", bare)


def is_invisible(character: str) -> bool:
    """Return whether nobody sees a character, so that it parts no word."""
    return _INVISIBLE.match(character) is not None


def folded(text: str) -> str:
    """Return a text in NFKC, without case and invisible characters."""
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", text)
