"""Runs of words that known texts share with others, found by hashes and compared."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crosstune.data.comparison import units
from crosstune.data.external_shuffle import Keys
from crosstune.data.letter_windows import KnownHashes, Places, Sums
from crosstune.data.row_letters import RowLetters, letters_of_words


class WordRuns:
    """All runs of ``n`` words of some texts, by the hashes of their letters."""

    def __init__(self, texts: Sequence[str], cut: Sequence[Sequence[str]], n: int) -> None:
        """Take texts and the words of each."""
        self._texts, self._n = texts, n
        long = np.array([number for number, words in enumerate(cut) if len(words) >= n], np.int64)
        hashes, owners, places = _runs([cut[number] for number in long.tolist()], n)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = KnownHashes(hashes[order]), long[owners[order]].astype(np.int32)
        self._places = places[order].astype(np.int32)

    def places_in(self, rows: RowLetters) -> Places:
        """Return the letters of rows at which a known run may begin."""
        ends = np.repeat(rows.word_ends, np.diff(rows.word_ends, prepend=0))
        firsts = np.flatnonzero(np.arange(self._n, len(ends) + self._n) <= ends)
        starts = rows.starts[firsts]
        return starts[self._hashes.places_in(rows.sums.of(starts, rows.ends[firsts + self._n - 1]))]

    def first_in(self, texts: Sequence[Sequence[str]]) -> dict[int, int]:
        """Return, for each text given by its words that holds a known run, the first known text with its first one."""
        long = [number for number, words in enumerate(texts) if len(words) >= self._n]
        hashes, owners, places = _runs([texts[number] for number in long], self._n)
        maybe = self._hashes.places_in(hashes)
        found: dict[int, int] = {}
        for index, first, end in zip(maybe.tolist(), *self._hashes.ranges(hashes[maybe]), strict=True):
            number, place = long[int(owners[index])], int(places[index])
            if number not in found:
                run = list(texts[number][place : place + self._n])
                known = next(self._with_run(run, first, end), None)
                found |= {} if known is None else {number: known}
        return found

    def _with_run(self, run: list[str], first: int, end: int) -> Iterator[int]:
        for number, place in zip(self._owners[first:end].tolist(), self._places[first:end].tolist(), strict=True):
            if units(self._texts[number])[place : place + self._n] == run:
                yield number


def _runs(texts: Sequence[Sequence[str]], n: int) -> tuple[Keys, Places, Places]:
    """Return the hash of each run of ``n`` words, which text it is of, and the place of its first word there."""
    numbers = np.array([len(words) for words in texts], np.int64)
    letters, lengths = letters_of_words([word for words in texts for word in words])
    ends = np.cumsum(lengths)
    owners: NDArray[np.int64] = np.repeat(np.arange(len(texts)), numbers - n + 1)
    places = np.arange(len(owners)) - np.repeat(np.cumsum(numbers - n + 1) - (numbers - n + 1), numbers - n + 1)
    words = np.repeat(np.cumsum(numbers) - numbers, numbers - n + 1) + places
    starts = ends - lengths
    return Sums(letters).of(starts[words], ends[words + n - 1]), owners, places
