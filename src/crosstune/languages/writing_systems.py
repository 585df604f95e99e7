"""Which script a language is written in, and how much of a text is."""

from functools import lru_cache

import regex

# Runs, not letters: five times fewer matches.
_LETTERS = regex.compile(r"\p{L}+")
_HANGUL = regex.compile(r"\p{Hangul}+")

# Languages in other scripts than Latin, by ISO 639-1 code. Korean and Japanese texts hold Chinese characters.
_SCRIPTS = {
    "ko": ("Hangul", "Han"),
    "ja": ("Hiragana", "Katakana", "Han"),
    "zh": ("Han",),
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "sr", "kk", "ky", "mn", "tg"), ("Cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur", "ps"), ("Arabic",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("Devanagari",)),
    "el": ("Greek",),
    "he": ("Hebrew",),
    "hy": ("Armenian",),
    "ka": ("Georgian",),
    "am": ("Ethiopic",),
    "bn": ("Bengali",),
    "gu": ("Gujarati",),
    "kn": ("Kannada",),
    "ml": ("Malayalam",),
    "pa": ("Gurmukhi",),
    "si": ("Sinhala",),
    "ta": ("Tamil",),
    "te": ("Telugu",),
    "th": ("Thai",),
    "lo": ("Lao",),
    "km": ("Khmer",),
    "my": ("Myanmar",),
}


def script_share(text: str, language: str) -> float:
    """Return the share of a text's letters that are in the language's script; 1 without letters."""
    num_letters = sum(map(len, _LETTERS.findall(text)))
    return sum(map(len, _of_script(language).findall(text))) / num_letters if num_letters else 1.0


def own_script_share(text: str, language: str) -> float:
    """Return the same without the script that a language borrows: Korean texts hold Chinese characters, but few."""
    if language != "ko":
        return script_share(text, language)
    num_letters = sum(map(len, _LETTERS.findall(text)))
    return sum(map(len, _HANGUL.findall(text))) / num_letters if num_letters else 1.0


@lru_cache
def _of_script(language: str) -> "regex.Pattern[str]":
    scripts = "".join(rf"\p{{{script}}}" for script in _SCRIPTS.get(language, ("Latin",)))
    # Scripts hold digits and signs, too: letters only.
    return regex.compile(rf"[[{scripts}]&&\p{{L}}]+", flags=regex.V1)
