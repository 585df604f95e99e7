"""How much of a text is in a language's script."""

from functools import lru_cache

import regex

from crosstune.languages.registry import UNSPACED, language, shares_letters

# Runs, not letters: five times fewer matches.
_LETTERS = regex.compile(r"\p{L}+")
# Scripts whose texts are counted by character, not by word, as the inside of a class of the ``regex`` module.
UNSPACED_SCRIPTS = "".join(rf"\p{{{script}}}" for script in UNSPACED)

_CODES = "az bs egy got ha hit kk ku ky mn ms ota pa sa sd sr tg tk tt ug uz xpg"
OF_SEVERAL_SCRIPTS = frozenset(_CODES.split())
"""Codes of languages in several alphabets, or published in Latin letters though an old script is theirs."""


def num_letters(text: str) -> int:
    """Return how many letters a text has."""
    return sum(map(len, _LETTERS.findall(text)))


def script_share(text: str, code: str) -> float:
    """Return the share of a text's letters that are in the language's scripts; 1 without letters."""
    return _share(text, language(code).scripts)


def target_script_ratio(text: str, code: str) -> float:
    """Return the same without the script that a language borrows: Korean texts hold Chinese characters, but few."""
    return _share(text, language(code).own_scripts)


def own_letters(text: str, code: str) -> str:
    """Return a text with a space in the place of each run of letters that are not of a language's own script."""
    return str(_not_of_scripts(language(code).own_scripts).sub(" ", text))


def are_exchanged(first: tuple[str, str], second: tuple[str, str]) -> bool:
    """Return whether neither of two (text, language) has a letter of its language, but each has one of the other's.

    Languages that share a script cannot be told apart this way.
    """
    (one, one_code), (other, other_code) = first, second
    if shares_letters(one_code, other_code) or shares_letters(other_code, one_code):
        return False
    of_one, of_other = (_of_scripts(language(code).own_scripts).search for code in (one_code, other_code))
    # In the order that is quickest for pairs as they should be: their first letters tell.
    return not of_one(one) and not of_other(other) and bool(of_other(one) and of_one(other))


def _share(text: str, scripts: tuple[str, ...]) -> float:
    if text.isascii() and "Latn" in scripts:
        return 1.0
    count = num_letters(text)
    return sum(map(len, _of_scripts(scripts).findall(text))) / count if count else 1.0


@lru_cache
def _of_scripts(scripts: tuple[str, ...]) -> "regex.Pattern[str]":
    # Extensions: the ー of スーパー stands in words of two scripts, and is of neither.
    names = "".join(rf"\p{{scx={script}}}" for script in scripts)
    # Scripts hold digits and signs, too: letters only.
    return regex.compile(rf"[[{names}]&&\p{{L}}]+", flags=regex.V1)


@lru_cache
def _not_of_scripts(scripts: tuple[str, ...]) -> "regex.Pattern[str]":
    names = "".join(rf"\p{{scx={script}}}" for script in scripts)
    return regex.compile(rf"[\p{{L}}--[{names}]]+", flags=regex.V1)
