"""Readings of a training row that pass over what stands between the words of a text: numbers, list marks, notes, tags.

An evaluation item with a number before every word, or with the time codes of subtitles inside it, is the item still.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from operator import and_, eq
from typing import NamedTuple

from crosstune.data.comparison import letters, units

# Commands of LaTeX, with the argument where that is no text; tags of forums, wikis and Markdown; addresses; notes.
_MARKS = re.compile(
    r"\\(?:cite\w*|ref|label|footnote\w*|index|href|url|[hv]space|(?:text)?color)\*?(?:\[[^\[\]]*\])*\{[^{}]*\}"
    r"|\\[a-zA-Z]+\*?"
    r"|\[/[a-zA-Z]+\]|\[(?:[bisuq]|url|img|color|size|font|quote|code|center|spoiler)(?:=[^\[\]]*)?\]|\[\[[^\[\]|]*\||\{\{[^{}]*\}\}|\{[.#:][^{}]*\}|\]\[[^\[\]]*\]|\[\^[^\[\]\s]*\]"
    r"|https?://\S+|\b(?:align|line|position|size|vertical):\S+"
    r"|<(sup|sub|rt|rp|script|style)\b[^<>]*>[^<]*</\1>"
    r"|(?<=\S)[/_][A-Z]{2,5}\$?(?![\w])"
    "|[\u00aa\u00ba\u02b0-\u02b8\u1d2c-\u1dbf\u2090-\u209c]"
)
_HAS_MARKS = re.compile("[\\\\\\[{/:\u00aa\u00ba\u02b0-\u02b8\u1d2c-\u1dbf\u2090-\u209c_]|<[sr]")
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|（[^（）]*）|【[^【】]*】|<[^<>]*>|＜[^＜＞]*＞")
_OPENED = re.compile(r"[(\[{（【<＜]")
_DIGIT, _NUMBER = re.compile(r"(\d)"), re.compile(r"\d+")
_LATIN, _OTHER_LETTERS = re.compile(r"(\d|[a-z]+)"), re.compile(r"(\d|[^\W\d_a-z]+)")
# Words of another language beside each word: the joined sides of a pair change the script once.
_CHANGE_OF_SCRIPT = re.compile(r"[a-z](?=[^\W\d_a-z])")
MIN_CHANGES = 3

_ROMAN = re.compile(r"(?=[ivx])x{0,3}(?:ix|iv|v?i{0,3})")
_NUMBERED = re.compile(r"[a-z]{1,2}\d+|(?:\d+[a-z]{1,2})+|0x[\da-f]+")
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)")
_LISTS = ("abcdefghijklmnopqrstuvwxyz", "가나다라마바사아자차카타파하", ("i", "ii", "iii", "iv", "v", "vi", "vii"))
LIST_RUNS = tuple(frozenset(marks[at : at + 3]) for marks in _LISTS for at in range(len(marks) - 2))
LIST_MARKS = frozenset(mark for marks in _LISTS for mark in marks)
_WORDS_AS_MARKS = LIST_MARKS.union(
    *(filter(_ROMAN.fullmatch, map("".join, product("ivx", repeat=length))) for length in range(1, 8))
)
MIN_NUMBERED = 3
# The same word again and again at one distance: what a program writes around words.
DISTANCES, _MIN_AGAIN = range(2, 7), 3


class Stretch(NamedTuple):
    """Letters of a reading, and whether it passes over them."""

    letters: str
    is_passed_over: bool = False


Reading = list[Stretch]
# Where one text of a row ends.
BORDER = Stretch("")


def kept(reading: Iterable[Stretch]) -> str:
    """Return the letters that a reading does not pass over, one behind the other."""
    return "".join(part.letters for part in reading if not part.is_passed_over)


def readings(texts: Sequence[str], cut: Sequence[Sequence[str]], keys: Sequence[str]) -> Iterator[Reading]:
    """Yield the readings of a row's texts, their units and letters: those for which it gives an occasion."""
    if any(map(_DIGIT.search, keys)):
        yield _row(_split(_DIGIT, key) for key in keys)
    if sum(len(_CHANGE_OF_SCRIPT.findall(key)) for key in keys if not key.isascii()) >= MIN_CHANGES:
        yield _row(_split(_LATIN, key) for key in keys)
        yield _row(_split(_OTHER_LETTERS, key) for key in keys)
    words = [_whole_words(text, text_units) for text, text_units in zip(texts, cut, strict=True)]
    plain = [word for text_words in words for word in text_words]
    joined = " ".join(plain)
    has_number = _NUMBER.search(joined) is not None
    has_list = _is_listed(plain, has_number)
    if has_list or any(map(has_marks, texts)):
        yield _row(_words(text_words, has_list) for text_words in words)
    if _is_again(joined) if has_number else _has_again(plain):
        yield _row(_passing_over_again(_words(text_words, has_list)) for text_words in words)
    if any(map(_OPENED.search, texts)):
        yield _row(map(_outside_brackets, texts))


def _row(parts_of_texts: Iterable[Iterable[Stretch]]) -> Reading:
    return [part for parts in parts_of_texts for part in (*parts, BORDER)]


def has_sign(character: str) -> bool:
    """Return whether a text that ``has_marks`` may hold a character for that."""
    return _HAS_MARKS.search(character) is not None


def has_marks(text: str) -> bool:
    """Return whether a text holds commands of LaTeX, tags of forums, addresses, notes and the like."""
    return _HAS_MARKS.search(text) is not None and _MARKS.search(text) is not None


def opens_bracket(character: str) -> bool:
    """Return whether a character opens a bracket."""
    return _OPENED.match(character) is not None


def without_brackets(text: str) -> str:
    """Return a text without what stands in brackets."""
    return _BRACKETED.sub(" ", text)


def parts_of_texts(reading: Reading) -> Iterator[Reading]:
    """Yield the reading of each text of a row."""
    start = 0
    for at, part in enumerate(reading):
        if part is BORDER:
            yield reading[start:at]
            start = at + 1


def what_may_stay(text: str, text_units: Sequence[str], whole: str) -> set[str]:
    """Return what readings of a row keep of a text that stands in it, where that is something and not all its letters.

    ``text_units`` and ``whole`` are the units and the letters of the text.
    """
    words = _whole_words(text, text_units)
    if whole.isascii() and whole.isalpha():
        # No digits, and one script: most texts of an English evaluation set.
        found = {"".join([word for word in words if word not in _WORDS_AS_MARKS])}
    else:
        found = {pattern.sub("", whole) for pattern in (_DIGIT, _LATIN, _OTHER_LETTERS)}
        found.add("".join(map(_letters_in_list, words)))
    if _BRACKETED.search(text):
        found.add(kept(_outside_brackets(text)))
    return found - {whole, ""}


def holds(reading: Reading, start: int, text: str) -> bool:
    """Return whether a reading holds a text that begins around the kept letter number ``start``.

    Of the parts that the reading passes over some may belong to the text: "3 dogs" in "1 the 2 man 3 has 4 3 5 dogs".
    """
    before = 0
    # Places of the text that may come next, each reached by passing over other parts.
    places = {0}
    for part in reading:
        if part.is_passed_over:
            places |= {place + len(part.letters) for place in places if _begins(text, place, part.letters)}
        elif before + len(part.letters) <= start and part.letters:
            before, places = before + len(part.letters), {0}
            continue
        else:
            own = part.letters[max(0, start - before) :]
            before += len(part.letters)
            places = {place + len(own) for place in places if _begins(text, place, own)}
        if any(place >= len(text) for place in places):
            return True
        if not places:
            return False
    return False


def _begins(text: str, place: int, own: str) -> bool:
    """Return whether a text goes on with some letters, or ends within them."""
    return own.startswith(text[place : place + len(own)])


def _split(passed_over: re.Pattern[str], joined: str) -> Reading:
    return [Stretch(found, at % 2 == 1) for at, found in enumerate(passed_over.split(joined)) if found]


def _is_listed(plain: Sequence[str], has_number: bool) -> bool:
    """Return whether words hold marks of a list: a) b) c), i. ii. iii., 가. 나. 다., L12; these only with a number."""
    marks = LIST_MARKS.intersection(plain)
    if len(marks) >= _MIN_AGAIN and any(run <= marks for run in LIST_RUNS):
        return True
    if not has_number:
        return False
    return sum(_NUMBERED.fullmatch(unit) is not None for unit in plain if not unit.isalpha()) >= MIN_NUMBERED


def _whole_words(text: str, text_units: Sequence[str]) -> Sequence[str]:
    """Return the words of a text without commands, tags of forums and the like, and in one piece: "dont"."""
    bare = _MARKS.sub(" ", text) if _HAS_MARKS.search(text) else text
    if "'" in bare or "\u2019" in bare:
        bare = _APOSTROPHE.sub("", bare)
    return text_units if bare == text else units(bare)


def _words(plain: Sequence[str], has_list: bool) -> Reading:
    """Return words, their digits passed over, and the marks of a list where there is one."""
    found: Reading = []
    for unit in plain:
        if has_list and _may_be_list_mark(unit):
            found.append(Stretch(letters([unit]), is_passed_over=True))
        else:
            found.extend(_without_digits(unit))
    return found


@lru_cache(2**16)
def _without_digits(unit: str) -> tuple[Stretch, ...]:
    own = letters([unit])
    return (Stretch(own),) if unit.isalpha() else tuple(_split(_DIGIT, own))


@lru_cache(2**16)
def _letters_in_list(unit: str) -> str:
    """Return what a reading of a list keeps of a word."""
    return "" if _may_be_list_mark(unit) else kept(_without_digits(unit))


@lru_cache(2**16)
def _may_be_list_mark(unit: str) -> bool:
    return unit in LIST_MARKS or bool(_NUMBERED.fullmatch(unit) or _ROMAN.fullmatch(unit))


def _is_again(joined: str) -> bool:
    """Return whether a word stands three times at one distance, numbers counted as words or not at all."""
    spaced = _NUMBER.sub(r" \g<0> ", joined)
    return any(_has_again(words.split()) for words in {spaced, _NUMBER.sub(" ", spaced)})


def _has_again(words: Sequence[str]) -> bool:
    if len(words) - len(set(words)) < _MIN_AGAIN - 1:
        return False
    for distance in DISTANCES:
        same = list(map(eq, words, words[distance:]))
        if any(map(and_, same, same[distance:])):
            return True
    return False


def _passing_over_again(words: Reading) -> Reading:
    """Return a reading that passes over words, too, that stand three times and more at one distance.

    Numbers between them count as words or not at all: they belong to the text, or to what was put into it.
    """
    without_numbers = [at for at, part in enumerate(words) if not part.is_passed_over]
    one_each = [at for at, part in enumerate(words) if not (at and _is_digit(part) and _is_digit(words[at - 1]))]
    chains = [chain for places in (without_numbers, one_each) for chain in _chains(words, places)]
    # Words of the text, too, may stand so a few times by chance.
    enough = max(map(len, chains), default=0) / 2
    again = {words[chain[0]].letters for chain in chains if len(chain) >= enough}
    return [Stretch(part.letters, is_passed_over=True) if part.letters in again else part for part in words]


def _chains(words: Reading, places: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places at which a word stands three times and more at one distance."""
    own = [words[at].letters for at in places]
    for distance in DISTANCES:
        same = list(map(eq, own, own[distance:]))
        thrice = list(map(and_, same, same[distance:]))
        while True in thrice:
            first = last = thrice.index(True)
            while last < len(same) and same[last]:
                if last < len(thrice):
                    thrice[last] = False
                last += distance
            yield [places[at] for at in range(first, last + 1, distance)]


def _is_digit(part: Stretch) -> bool:
    return part.is_passed_over and part.letters.isdigit()


def _outside_brackets(text: str) -> Reading:
    """Return the letters of a text, those in brackets and its digits passed over."""
    found: Reading = []
    end = 0
    for bracketed in _BRACKETED.finditer(text):
        found += _split(_DIGIT, letters(units(text[end : bracketed.start()])))
        found.append(Stretch(letters(units(bracketed[0][1:-1])), is_passed_over=True))
        end = bracketed.end()
    return found + _split(_DIGIT, letters(units(text[end:])))
