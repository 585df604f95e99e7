"""Words and sentences of a text, counted as an instruction means them ("at most 20 words", "exactly 3 sentences")."""

import regex

from crosstune.languages.registry import language
from crosstune.languages.writing_systems import UNSPACED_SCRIPTS

_LETTER_OR_DIGIT = regex.compile(r"[\p{L}\p{N}]")
# A letter of a script without spaces with the marks on it; of other scripts, what stands between two spaces.
_CHARACTERS = regex.compile(rf"[[{UNSPACED_SCRIPTS}]&&\p{{L}}]\p{{M}}*|[^\s{UNSPACED_SCRIPTS}]+", regex.V1)
# A stop ends a sentence before a space or the end, the full-width ones anywhere; a line end always does.
_STOP = regex.compile(r"(?:[.!?…؟۔។။།॥।]+[\"'”’)\]*_]*(?=\s|$)|[。！？]+[」』”’）]*|\n+)")
# A number at the start of a line ("1. "), initials and the usual short forms end no sentence.
_NO_STOP = regex.compile(
    r"(?:(?:^|\n)\s*\d{1,2}|\b\p{Lu}|\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|z\.B|bzw|Sr|Sra))\.$"
)


def words_of(text: str, code: str) -> list[str]:
    """Return the words of a text; in a language that puts no spaces between them, its characters.

    What holds no letter and no digit is none, as the sign of a list.
    """
    parts = text.split() if language(code).is_spaced else _CHARACTERS.findall(text)
    return [part for part in parts if _LETTER_OR_DIGIT.search(part)]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, each with its stop; a heading or a line of a list counts as one."""
    found, start = [], 0
    for match in _STOP.finditer(text):
        if not _NO_STOP.search(text[start : match.end()]):
            found.append(text[start : match.end()])
            start = match.end()
    return [sentence.strip() for sentence in [*found, text[start:]] if _LETTER_OR_DIGIT.search(sentence)]
