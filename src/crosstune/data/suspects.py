"""Which of many rows may hold a known text: the others, nearly all, need not be looked at one by one.

What is asked of the letters of a row's readings (``insertions``) is asked here of all rows at once; whatever cannot be
told from single characters makes a row suspect.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from crosstune.data.comparison import unmarked
from crosstune.data.external_shuffle import Keys
from crosstune.data.insertions import (
    DISTANCES,
    LIST_MARKS,
    LIST_RUNS,
    MIN_CHANGES,
    MIN_NUMBERED,
    has_marks,
    without_brackets,
)
from crosstune.data.interrupted import InterruptedTexts
from crosstune.data.letter_windows import KnownHashes, LetterWindows, Places, hashes_of
from crosstune.data.row_letters import DIGIT, ESCAPES, LATIN, OPENS, SIGN, UNCLEAR, Bools, RowLetters
from crosstune.data.word_runs import WordRuns

_MARKS = sorted(LIST_MARKS)
_BIT_OF_MARK = {mark: 1 << number for number, mark in enumerate(_MARKS)}
_RUNS = np.array([sum(_BIT_OF_MARK[mark] for mark in run) for run in LIST_RUNS], np.uint64)
_LONGEST_MARK = max(map(len, _MARKS))


class Suspects:
    """Known texts, to be looked for in the letters of rows."""

    def __init__(
        self, whole: Iterable[str], windows: LetterWindows, interrupted: InterruptedTexts, runs: WordRuns | None
    ) -> None:
        """Take whole texts by their letters, and what is looked for in rows."""
        self._whole = KnownHashes(np.sort(hashes_of(list(whole))))
        self._windows, self._interrupted, self._runs = windows, interrupted, runs
        marks = hashes_of(_MARKS)
        self._order = np.argsort(marks)
        self._marks = marks[self._order]

    def among(self, rows: Sequence[Sequence[str]]) -> Bools:
        """Return which rows, given by their texts, may hold a known text."""
        letters = RowLetters(rows)
        suspect: Bools = (letters.has_kind & UNCLEAR) != 0
        for number in np.flatnonzero((letters.has_kind & (ESCAPES | SIGN)) != 0).tolist():
            suspect[number] |= any(unmarked(text) != text or has_marks(text) for text in rows[number])
        starts = np.concatenate([[0], letters.text_ends[:-1]])
        texts = np.flatnonzero(letters.text_ends > starts)
        are_whole = self._whole.places_in(letters.sums.of(starts[texts], letters.text_ends[texts]))
        suspect[letters.rows_at(starts[texts[are_whole]])] = True
        suspect[letters.rows_at(self._windows.places_in(letters.sums, letters.row_ends))] = True
        if self._runs:
            suspect[letters.rows_at(self._runs.places_in(letters))] = True
        self._add_interrupted(suspect, letters)
        self._add_outside_brackets(suspect, letters, rows)
        self._add_with_words_again(suspect, letters)
        return suspect

    def _add_interrupted(self, suspect: Bools, letters: RowLetters) -> None:
        """Add rows that hold a text between digits, or between words of another script."""
        row_of = np.repeat(np.arange(len(suspect)), np.diff(letters.row_ends, prepend=0))
        is_digit, is_latin = ((letters.kinds & kind) != 0 for kind in (DIGIT, LATIN))
        has_digit = (letters.has_kind & DIGIT) != 0
        if has_digit.any():
            suspect |= self._interrupted.may_be_in(*letters.only(~is_digit & has_digit[row_of]))
        changes = is_latin & np.append((~is_latin & ~is_digit)[1:], False)[: len(is_latin)]
        changes[letters.text_ends[letters.text_ends > 0] - 1] = False
        has_changes = np.bincount(row_of[changes], minlength=len(suspect)) >= MIN_CHANGES
        if has_changes.any():
            for mask in (is_latin, ~is_latin & ~is_digit):
                suspect |= self._interrupted.may_be_in(*letters.only(mask & has_changes[row_of]))

    def _add_outside_brackets(self, suspect: Bools, letters: RowLetters, rows: Sequence[Sequence[str]]) -> None:
        opened = np.flatnonzero((letters.has_kind & OPENS) != 0)
        if len(opened):
            outside = RowLetters([[*map(without_brackets, rows[number])] for number in opened.tolist()])
            suspect[opened] |= self._interrupted.may_be_in(*outside.only((outside.kinds & DIGIT) == 0))

    def _add_with_words_again(self, suspect: Bools, letters: RowLetters) -> None:
        """Add rows in which a word stands again and again at one distance, or which hold the marks of a list.

        Numbers count as words or not at all, also those at the borders of words.
        """
        if not len(letters.letters):
            return
        is_digit = (letters.kinds & DIGIT) != 0
        words = letters.starts[~letters.joins]
        kinds = np.bitwise_or.reduceat(letters.kinds, words)
        numbered = letters.rows_at(words[((kinds & DIGIT) != 0) & ((kinds & LATIN) != 0)])
        suspect |= np.bincount(numbered, minlength=len(suspect)) >= MIN_NUMBERED
        begins = np.concatenate([[False], is_digit[1:] != is_digit[:-1]])
        begins[words] = True
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(begins))
        counts = np.diff(np.searchsorted(starts, letters.row_ends), prepend=0)
        hashes, rows = letters.sums.of(starts, ends), np.repeat(np.arange(len(suspect)), counts)
        is_short = ends - starts <= _LONGEST_MARK
        self._add_lists(suspect, hashes[is_short], rows[is_short])
        _add_again(suspect, hashes, rows)
        is_word = ~is_digit[starts]
        if not is_word.all():
            _add_again(suspect, hashes[is_word], rows[is_word])

    def _add_lists(self, suspect: Bools, hashes: Keys, rows: Places) -> None:
        at = np.minimum(np.searchsorted(self._marks, hashes), len(self._marks) - 1)
        is_mark = self._marks[at] == hashes
        marks = np.zeros(len(suspect), np.uint64)
        np.bitwise_or.at(marks, rows[is_mark], np.uint64(1) << self._order[at[is_mark]].astype(np.uint64))
        suspect |= ((marks[:, None] & _RUNS) == _RUNS).any(axis=1)


def _add_again(suspect: Bools, hashes: Keys, rows: Places) -> None:
    for distance in DISTANCES:
        same = (hashes[:-distance] == hashes[distance:]) & (rows[:-distance] == rows[distance:])
        suspect[rows[: -2 * distance][same[:-distance] & same[distance:]]] = True
