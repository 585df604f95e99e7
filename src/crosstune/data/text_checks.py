"""What is wrong with a single text, or with a pair: damaged characters, mark-up, another language, odd lengths."""

from functools import lru_cache

import regex

# Runs, not letters: five times fewer matches.
_LETTERS = regex.compile(r"\p{L}+")
_LETTER_OR_DIGIT = regex.compile(r"[\p{L}\p{N}]")
_MARKUP = regex.compile(r"<[^<>]*>|&[a-zA-Z]+;|&#x?[0-9a-fA-F]+;|https?://\S+|\[/?\w+\]")
_LATIN_1 = regex.compile("[\u0080-\u00ff]")

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


def is_broken(text: str) -> bool:
    """Return whether characters were lost, or UTF-8 was once read as Windows-1252 ("ì•ˆë…•" for 안녕)."""
    if "\ufffd" in text:
        return True
    if not _LATIN_1.search(text):
        return False
    try:
        # Real accents do not make valid UTF-8; damaged text, encoded back, does.
        return text.encode("cp1252").decode("utf-8") != text
    except UnicodeError:
        return False


def is_markup_only(text: str) -> bool:
    """Return whether nothing is left without tags, entities, addresses and signs."""
    return not _LETTER_OR_DIGIT.search(_MARKUP.sub(" ", text))


def script_share(text: str, language: str) -> float:
    """Return the share of a text's letters that are in the language's script; 1 without letters."""
    num_letters = sum(map(len, _LETTERS.findall(text)))
    return sum(map(len, _of_script(language).findall(text))) / num_letters if num_letters else 1.0


def length_ratio(left: str, right: str) -> float:
    """Return how many times longer the longer text is, in characters."""
    short, long = sorted((len(left), len(right)))
    return long / max(1, short)


@lru_cache
def _of_script(language: str) -> "regex.Pattern[str]":
    scripts = "".join(rf"\p{{{script}}}" for script in _SCRIPTS.get(language, ("Latin",)))
    # Scripts hold digits and signs, too: letters only.
    return regex.compile(rf"[[{scripts}]&&\p{{L}}]+", flags=regex.V1)
