"""Whether an answer is in the language that it was asked in: line and word passes of the Language Confusion Benchmark.

Marchisio et al. 2024, https://arxiv.org/abs/2406.20052, in the form of the authors' code: only lines of at least five
words are judged, and answers without one are left out. An answer passes by line when each such line is in the
language. One that does passes by word when no word of them is English; this is asked of languages without Latin script
only. Deviations: py3langid and the script stand in the place of fastText's lid.176; a word counts as English when it
is four or more small letters from a to z (the authors look such words up in a list); in scripts without spaces ten
characters stand in the place of five words.
"""

from dataclasses import dataclass

import regex

from crosstune.languages.identify import is_in_language, is_in_script
from crosstune.languages.registry import language
from crosstune.languages.words import words_of

_WORDS, _CHARACTERS = 5, 10
_SIGNS = regex.compile(r"^[\p{P}\p{S}]+|[\p{P}\p{S}]+$")
_ENGLISH = regex.compile("[a-z]{4,}")


@dataclass(frozen=True)
class Fidelity:
    """What an answer's language is worth.

    Attributes:
        in_language: of any answer, a short one by its letters, an empty one never.
        lines: whether all lines of five words are in the language; None without one.
        words: whether none of their words is English; None where lines fail, or the language is in Latin script.
    """

    in_language: bool
    lines: bool | None
    words: bool | None


def judged_lines(answer: str, code: str) -> list[str]:
    """Return the lines of an answer that are long enough to tell their language."""
    least = _WORDS if language(code).is_spaced else _CHARACTERS
    return [line for line in answer.splitlines() if len(words_of(line, code)) >= least]


def fidelity(answer: str, code: str) -> Fidelity:
    """Judge an answer to a question in a language."""
    lines = judged_lines(answer, code)
    if not lines:
        has_letters = any(map(str.isalpha, answer))
        return Fidelity(has_letters and is_in_script(answer, code), None, None)
    passes = all(is_in_language(line, code) for line in lines)
    if not passes or "Latn" in language(code).scripts:
        return Fidelity(passes, passes, None)
    words = (_SIGNS.sub("", word) for line in lines for word in words_of(line, code))
    return Fidelity(passes, passes, not any(map(_ENGLISH.fullmatch, words)))
