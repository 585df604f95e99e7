"""Whether an answer mixes in a language that nobody asked for: another script, or a stretch of another Latin language.

Models of many languages do this in the middle of a right answer: 政策 in Korean, следующий in English.
"""

import unicodedata
from collections.abc import Sequence

import regex

from crosstune.languages.identify import probabilities
from crosstune.languages.registry import language

# In brackets behind a word stands how something is written elsewhere: 한자(漢字), Kyoto (京都).
_GLOSS = regex.compile(r"(?<=[\p{L}\p{N}'\"’”」』]\s?)[(（\[][^()（）\[\]\n]{1,24}[)）\]]")
# Units, angles and variables are single Greek letters: 5 μm, ∠α.
_GREEK_SIGN = regex.compile(r"(?<!\p{Greek})\p{Greek}(?!\p{Greek})")
_WORD = regex.compile(r"[\p{Latin}\p{M}'’-]+")
# Words of Latin letters up to the next stop, line or other script.
_STRETCH = regex.compile(r"[\p{Latin}\p{M}'’\-, ]+")
# A title or a name is short, or in capitals; a stretch of another language is told from its small words.
_SMALL_WORDS, _LETTERS = 4, 18
# Of a stretch as short as that, the identifier must be all but sure.
_LIKELY, _UNLIKELY = 0.9, 0.02


def has_third_language(output: str, languages: Sequence[str], known: str) -> bool:
    """Return whether an answer holds a language besides these, which the ``known`` texts do not hold either.

    ``languages``: the one that is asked for, and of a translation the source's. Latin letters are no third script:
    names and terms are written in them everywhere.
    """
    return _has_third_script(output, languages, known) or _has_third_latin(output, languages, known)


def _has_third_script(output: str, languages: Sequence[str], known: str) -> bool:
    scripts = {"Latn", *language(languages[0]).own_scripts}
    scripts |= {script for code in languages[1:] for script in language(code).own_scripts}
    allowed = "".join(rf"\p{{scx={script}}}" for script in sorted(scripts))
    # Signs of all scripts (ª, ℓ, 𝑥) are letters to Unicode, too.
    foreign = regex.compile(rf"[\p{{L}}--[{allowed}\p{{scx=Zyyy}}\p{{scx=Zinh}}]]", regex.V1)
    found = {*foreign.findall(_GREEK_SIGN.sub("", _GLOSS.sub("", output)))} - {*known}
    # Of an alphabet that a known text uses, a form of the same name may need another letter; a Chinese character is a
    # word of its own.
    used = {_script(letter) for letter in foreign.findall(known)} - {"CJK"}
    return any(_script(letter) not in used for letter in found)


def _script(letter: str) -> str:
    """Return a letter's script by the first word of its name: CYRILLIC, CJK, HIRAGANA."""
    return unicodedata.name(letter, letter).split(" ")[0].split("-")[0]


def _has_third_latin(output: str, languages: Sequence[str], known: str) -> bool:
    short = {code.split("-")[0] for code in languages}
    given = " ".join(_WORD.findall(known.casefold()))
    for stretch in _STRETCH.findall(_GLOSS.sub("", output)):
        words = _WORD.findall(stretch)
        small = [word for word in words if word[:1].islower()]
        if len(small) < _SMALL_WORDS or sum(map(len, words)) < _LETTERS:
            continue
        if " ".join(words).casefold() in given:
            continue
        found = probabilities(" ".join(words))
        likeliest = max(found, key=lambda code: found[code])
        is_sure = found[likeliest] >= _LIKELY and all(found.get(code, 1.0) < _UNLIKELY for code in {*short, "en"})
        if likeliest not in short and is_sure:
            return True
    return False
