"""The letters and words of many rows as arrays, in which texts are looked for in all rows at once."""

import re
import sys
from collections.abc import Sequence

import numpy as np
import regex
from numpy.typing import NDArray

from crosstune.data.comparison import folded, is_invisible, letters, units
from crosstune.data.insertions import has_sign, opens_bracket
from crosstune.data.letter_windows import Codes, Places, Sums

# What is known of a character. SEEN: that it was looked at; NO_LETTER: that what it stands for depends on those around
# it, as with vowel signs, Hangul's single letters, and what nobody sees; ESCAPES: that it may begin an escape or a tag.
SEEN, LETTER, DIGIT, LATIN, ALONE, APOSTROPHE, OPENS, SIGN, ESCAPES, UNCLEAR = (1 << bit for bit in range(10))
_ESCAPES = "%\\&[<"
_APOSTROPHES = "'\u2019"
_UNCLEAR = regex.compile(r"[\p{M}\p{Cs}\p{Cn}\p{Co}\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_IS_DIGIT = re.compile(r"\d").match

Bools = NDArray[np.bool_]
Kinds = NDArray[np.uint16]


class _Characters:
    """What each character is, found out when it is first met."""

    def __init__(self) -> None:
        self._kinds = np.zeros(sys.maxunicode + 1, np.uint16)
        self.letters = np.zeros(sys.maxunicode + 1, np.uint32)

    def kinds_of(self, codes: Codes) -> Kinds:
        kinds: Kinds = self._kinds[codes]
        if not kinds.all():
            for code in np.unique(codes[kinds == 0]).tolist():
                self._kinds[code], self.letters[code] = _kind(chr(code))
            kinds = self._kinds[codes]
        return kinds


def _kind(character: str) -> tuple[int, int]:
    """Return what a character is, and the letter that it is compared as."""
    plain, found = folded(character), units(character)
    if is_invisible(character) or _UNCLEAR.search(character + plain):
        return SEEN | UNCLEAR, 0
    if not found:
        kind = SEEN
        for of_kind, is_it in (
            (ESCAPES, character in _ESCAPES),
            (APOSTROPHE, character in _APOSTROPHES),
            (OPENS, opens_bracket(character)),
            (SIGN, has_sign(character)),
        ):
            kind |= of_kind if is_it else 0
        return kind, 0
    letter = letters(found)
    if found != [plain] or len(plain) != 1 or len(letter) != 1:
        return SEEN | UNCLEAR, 0
    if has_sign(character) or not character.isalnum():
        return SEEN | UNCLEAR, 0
    kind = SEEN | LETTER
    kind |= DIGIT if _IS_DIGIT(letter) else LATIN if letter.isascii() else 0
    kind |= ALONE if len(units(2 * character)) == 2 else 0
    return kind, ord(letter)


_CHARACTERS = _Characters()


class RowLetters:
    """The letters of the texts of rows, one text behind the other.

    Attributes:
        letters: as they are compared.
        kinds: what each of them is.
        text_ends, row_ends: the numbers of letters up to the end of each text and row.
        starts, ends: of the words, by numbers of letters.
        word_ends: the numbers of words up to the end of each text.
        joins: for each word, whether an apostrophe alone parts it from the one before.
        has_kind: for each row, the kinds of its characters together.
    """

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        """Take the texts of each row; each row has one."""
        texts = [text for row in rows for text in row]
        codes: Codes = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = _CHARACTERS.kinds_of(codes)
        after_texts = np.cumsum(np.array([len(text) + 1 for text in texts], np.int64))
        num_texts = np.cumsum([len(row) for row in rows])
        after_rows = after_texts[num_texts - 1]
        self.has_kind = np.bitwise_or.reduceat(kinds, np.concatenate([[0], after_rows[:-1]]))
        places = np.flatnonzero(kinds & LETTER)
        self.letters, self.kinds = _CHARACTERS.letters[codes[places]], kinds[places]
        self.text_ends = np.searchsorted(places, after_texts)
        self.row_ends = self.text_ends[num_texts - 1]
        gaps = np.diff(places, prepend=-2)
        alone = (self.kinds & ALONE) != 0
        self.starts = np.flatnonzero((gaps > 1) | alone | np.concatenate([[False], alone[:-1]]))
        self.ends = np.append(self.starts[1:], len(places))[: len(self.starts)]
        self.word_ends = np.searchsorted(self.starts, self.text_ends)
        first = places[self.starts]
        self.joins = (gaps[self.starts] == 2) & ~alone[self.starts] & ((kinds[first - 1] & APOSTROPHE) != 0)
        self.sums = Sums(self.letters)

    def rows_at(self, places: Places) -> Places:
        """Return the row of each of some letters."""
        return np.searchsorted(self.row_ends, places, "right")

    def only(self, mask: Bools) -> tuple[Sums, Places, Places]:
        """Return sums of some letters, and their numbers up to the end of each text and row."""
        counts = np.concatenate([[0], np.cumsum(mask)])
        return Sums(self.letters[mask]), counts[self.text_ends], counts[self.row_ends]


def letters_of_words(words: Sequence[str]) -> tuple[Codes, Places]:
    """Return the letters of words, one word behind the other, and the number of letters of each.

    They are those of ``RowLetters`` where these tell; of other characters all that counts is that they are the same.
    """
    codes: Codes = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
    are_letters = (_CHARACTERS.kinds_of(codes) & LETTER) != 0
    return np.where(are_letters, _CHARACTERS.letters[codes], codes), np.array([len(word) for word in words], np.int64)
