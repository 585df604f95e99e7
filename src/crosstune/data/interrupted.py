"""Known texts in training rows with something put between their words: found by windows of what readings keep."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crosstune.data.insertions import Reading, holds, kept, parts_of_texts, readings, what_may_stay
from crosstune.data.letter_windows import WINDOW, KnownHashes, LetterWindows, Places, Sums, hashes_of

# What is left of a short text without its numbers; the whole text is compared where such a window is met.
_SHORT_WINDOW = 8

Row = tuple[Sequence[str], Sequence[Sequence[str]], Sequence[str]]
"""The texts of a row, their units and their letters."""


class InterruptedTexts:
    """Texts by their letters, to be found in rows that hold something else between their words.

    A text of ``alone`` counts only where it is all that one of the row's texts holds.
    """

    def __init__(self, texts: Mapping[str, str], cut: Mapping[str, Sequence[str]], alone: Collection[str]) -> None:
        """Take texts of at least WINDOW letters, each by its letters, and the units of each."""
        kept_of = {key: sorted(what_may_stay(text, cut[text], key)) for key, text in texts.items()}
        ways = [(stays, key) for key, some in kept_of.items() for stays in (key, *some)]
        self._alone = {stays: key for stays, key in ways if key in alone}
        self._alone_hashes = KnownHashes(np.sort(hashes_of(list(self._alone))))
        parted = [(stays, key) for stays, key in ways if key not in alone]
        self._known = {
            _SHORT_WINDOW: [way for way in parted if _SHORT_WINDOW <= len(way[0]) < WINDOW],
            WINDOW: [way for way in parted if len(way[0]) >= WINDOW],
        }
        self._windows = {
            size: LetterWindows([stays for stays, _ in known], num_letters=size)
            for size, known in self._known.items()
            if known
        }

    def may_be_in(self, sums: Sums, text_ends: Places, row_ends: Places) -> NDArray[np.bool_]:
        """Return which rows may hold a text, given the letters that a reading keeps and the ends of texts and rows."""
        found = np.zeros(len(row_ends), bool)
        for windows in self._windows.values():
            found[np.searchsorted(row_ends, windows.places_in(sums, row_ends), "right")] = True
        starts, texts = np.concatenate([[0], text_ends[:-1]]), np.flatnonzero(np.diff(text_ends, prepend=0))
        alone = starts[texts[self._alone_hashes.places_in(sums.of(starts[texts], text_ends[texts]))]]
        found[np.searchsorted(row_ends, alone, "right")] = True
        return found

    def find(self, rows: Sequence[Row]) -> Iterator[tuple[int, str]]:
        """Yield the number of each row that holds a text, and the letters of the text."""
        ways = [(number, reading) for number, row in enumerate(rows) for reading in readings(*row)]
        for number, reading in ways if self._alone else ():
            for text in parts_of_texts(reading):
                key = self._alone.get(kept(text))
                if key is not None and holds(text, 0, key):
                    yield number, key
        letters = [kept(reading) for _, reading in ways]
        for size, windows in self._windows.items():
            for hit in windows.hits(letters):
                number, reading = ways[hit.text]
                stays, key = self._known[size][hit.known]
                if _is_in(reading, letters[hit.text], hit.place - hit.known_place, stays, key):
                    yield number, key


def _is_in(reading: Reading, row: str, start: int, stays: str, key: str) -> bool:
    return start >= 0 and row.startswith(stays, start) and holds(reading, start, key)
