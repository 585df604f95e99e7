"""Overlap with evaluation sets: a training row that holds an evaluation text, whole or in a long stretch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from crosstune.data.comparison import inside_tags, letters, units
from crosstune.data.interrupted import InterruptedTexts
from crosstune.data.letter_windows import WINDOW, Hit, LetterWindows
from crosstune.data.suspects import Suspects
from crosstune.data.word_runs import WordRuns
from crosstune.prompts.cleaning import normalised
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import MANIFEST
from crosstune.tasks.registry import all_tasks

# Shorter sentences ("Thank you.") occur in any book and give nothing of an evaluation set away.
MIN_OVERLAP_LETTERS = WINDOW

# Thirteen English words tell as much as twenty Hangul syllables: with their grammar, six or seven Korean words.
_SYLLABLES_PER_WORD = 1.5
# Laughter ("ㅋㅋㅋㅋ") and lines of one sign are nobody's text.
_MIN_DIFFERENT_LETTERS = 6
_HANGUL = regex.compile(r"\p{Hangul}")
# Some arrays of so many numbers lie in a core's cache.
BLOCK_CHARACTERS = 2**17


class Match(NamedTuple):
    """Where a training row meets an evaluation set: the set, its text, and whether only a stretch of it is shared."""

    evaluation_set: str
    text: str
    is_stretch: bool


class EvaluationTexts:
    """The texts of all evaluation sets of a recipe, to be found in training rows.

    Texts are compared by their letters and digits alone (``comparison``). A row that is an evaluation text is found,
    however short; one that holds an evaluation text of at least ``MIN_OVERLAP_LETTERS``, anywhere and over the borders
    of its fields, unless the text is one of the answers to choose from (``options``: "The dog barked." stands in any
    book); and one that shares any run of ``ngram`` words with one, as GPT-3's authors did with 13 words (Brown et al.
    2020, appendix C, https://arxiv.org/abs/2005.14165): as many characters in scripts without spaces, and half as many
    again in Hangul. A whole text is found, too, where something stands between its words (``insertions``).
    """

    def __init__(self, texts: Mapping[str, str], ngram: int | None, options: Mapping[str, str] | None = None) -> None:
        """Take texts, and answers to choose from, each with the name of its set."""
        self._sets = {**(options or {}), **texts}
        cut = {text: units(text) for text in self._sets}
        keys = {text: letters(text_units) for text, text_units in cut.items()}
        self._ngram = ngram
        self._min_hangul = max(WINDOW, round(_SYLLABLES_PER_WORD * ngram)) if ngram else 0
        self._texts = list(cut)
        self._runs = WordRuns(self._texts, list(cut.values()), ngram) if ngram else None
        self._whole: dict[str, str] = {}
        for text in cut:
            self._whole.setdefault(keys[text], text)
        self._whole.pop("", None)
        alone = {keys[text] for text in options or ()} - {keys[text] for text in texts}
        self._long = [key for key in self._whole if len(key) >= MIN_OVERLAP_LETTERS and key not in alone]
        self._windows = LetterWindows(self._long, [_is_telling(key) for key in self._long] if ngram else [])
        long = {key: text for key, text in self._whole.items() if len(key) >= MIN_OVERLAP_LETTERS}
        self._interrupted = InterruptedTexts(long, {text: cut[text] for text in long.values()}, alone)
        self._suspects = Suspects(self._whole, self._windows, self._interrupted, self._runs)

    @classmethod
    def read(cls, folders: Iterable[Path], ngram: int | None) -> "EvaluationTexts":
        """Read the written evaluation sets."""
        texts: dict[str, str] = {}
        options: dict[str, str] = {}
        for folder in folders:
            task = all_tasks()[read_json(folder / MANIFEST)["task"]]
            for item in read_jsonl(folder / "items.jsonl"):
                for found, are_options in ((texts, False), (options, True)):
                    for text in task.own_texts(item, are_options):
                        found.setdefault(normalised(text), folder.name)
        return cls(texts, ngram, options)

    def find(self, rows: Sequence[Mapping[str, str]]) -> list[Match | None]:
        """Return for each row an evaluation text that it shares, if any; many rows at once are faster than one."""
        suspects = [number for block in _blocks(rows) for number in self._suspects_in(rows, block)]
        found: list[Match | None] = [None] * len(rows)
        for number, match in zip(suspects, self.compare([rows[number] for number in suspects]), strict=True):
            found[number] = match
        return found

    def _suspects_in(self, rows: Sequence[Mapping[str, str]], block: range) -> Iterable[int]:
        texts = [[*rows[number].values()] or [""] for number in block]
        # A row as long as a book is cut by what compares it.
        if len(block) == 1 and sum(map(len, texts[0])) > BLOCK_CHARACTERS:
            return block
        return (np.flatnonzero(self._suspects.among(texts)) + block.start).tolist()

    def compare(self, rows: Sequence[Mapping[str, str]]) -> list[Match | None]:
        """Return what ``find`` returns, comparing each row, also those of which one look tells that they hold none."""
        given = [[*texts.values(), *_inside_tags(texts.values())] for texts in rows]
        cut = [[units(text) for text in texts] for texts in given]
        keys = [[letters(text_units) for text_units in texts] for texts in cut]
        found: list[Match | None] = [self._equal(texts) for texts in keys]
        joined = ["".join(texts) for texts in keys]
        for hit in self._windows.hits(joined):
            earlier = found[hit.text]
            if earlier is None or earlier.is_stretch:
                found[hit.text] = self._at(hit, joined[hit.text]) or earlier
        rest = [number for number, match in enumerate(found) if match is None or match.is_stretch]
        for number, key in self._interrupted.find([(given[at], cut[at], keys[at]) for at in rest]):
            found[rest[number]] = self._match(self._whole[key], is_stretch=False)
        rest = [number for number, match in enumerate(found) if match is None]
        for number, known in self._sharing_runs([cut[number] for number in rest]):
            found[rest[number]] = self._match(self._texts[known], is_stretch=True)
        return found

    def _match(self, text: str, is_stretch: bool) -> Match:
        return Match(self._sets[text], text, is_stretch)

    def _equal(self, keys: Iterable[str]) -> Match | None:
        text = next((self._whole[key] for key in keys if key in self._whole), None)
        return None if text is None else self._match(text, is_stretch=False)

    def _at(self, hit: Hit, row: str) -> Match | None:
        """Return what a row and an evaluation text share around a window that both hold."""
        known = self._long[hit.known]
        start = hit.place - hit.known_place
        if start >= 0 and row.startswith(known, start):
            return self._match(self._whole[known], is_stretch=False)
        if not self._ngram:
            return None
        run = _run_around(row, hit.place, known, hit.known_place)
        is_stretch = len(run) >= self._min_hangul and 2 * len(_HANGUL.findall(run)) > len(run)
        return self._match(self._whole[known], is_stretch=True) if is_stretch else None

    def _sharing_runs(self, rows: Sequence[Sequence[Sequence[str]]]) -> Iterator[tuple[int, int]]:
        """Yield the number of each row with a text that shares a run of words, the last such text first, and whose."""
        if self._runs is None:
            return
        owners = [number for number, texts in enumerate(rows) for _ in texts]
        shared = self._runs.first_in([text_units for texts in rows for text_units in texts])
        for text in sorted(shared, reverse=True):
            yield owners[text], shared[text]


@dataclass(frozen=True)
class EvaluationSets:
    """Written evaluation sets, read where texts are looked for: each process that checks rows reads them once.

    Attributes:
        fingerprints: of what the folders hold.
        ngram: see ``EvaluationTexts``.
    """

    folders: tuple[Path, ...]
    fingerprints: tuple[str, ...]
    ngram: int | None

    def find(self, rows: Sequence[Mapping[str, str]]) -> list[Match | None]:
        """Return for each row an evaluation text that it shares, if any."""
        return _texts_of(self).find(rows)

    @staticmethod
    def forget() -> None:
        """Free what this process has read."""
        _texts_of.cache_clear()


@lru_cache(1)
def _texts_of(sets: EvaluationSets) -> EvaluationTexts:
    return EvaluationTexts.read(sets.folders, sets.ngram)


def _inside_tags(texts: Iterable[str]) -> Iterator[str]:
    """Yield what the tags of a row's texts hold, where a text of an evaluation set has room in it."""
    return (inside for text in texts if len(inside := inside_tags(text)) >= MIN_OVERLAP_LETTERS)


def _blocks(rows: Sequence[Mapping[str, str]]) -> Iterator[range]:
    """Yield numbers of rows that follow one another, with as many characters together as a core's cache holds."""
    first = num_characters = 0
    for number, texts in enumerate(rows):
        size = sum(map(len, texts.values()))
        if number > first and num_characters + size > BLOCK_CHARACTERS:
            yield range(first, number)
            first, num_characters = number, 0
        num_characters += size
    if rows:
        yield range(first, len(rows))


def _is_telling(key: str) -> NDArray[np.bool_]:
    """Return for each window of a text whether it tells a Korean text: most of it Hangul, and no laughter."""
    if key.isascii():
        return np.zeros(len(key) - WINDOW + 1, bool)
    is_hangul = np.zeros(len(key) + 1, np.int64)
    for match in _HANGUL.finditer(key):
        is_hangul[match.start() + 1] = 1
    sums = np.cumsum(is_hangul)
    telling: NDArray[np.bool_] = 2 * (sums[WINDOW:] - sums[:-WINDOW]) > WINDOW
    for place in np.flatnonzero(telling).tolist():
        telling[place] = len(set(key[place : place + WINDOW])) >= _MIN_DIFFERENT_LETTERS
    return telling


def _run_around(row: str, place: int, known: str, known_place: int) -> str:
    """Return the longest run that two texts share around two places at which they share a window."""
    left = 0
    while left < min(place, known_place) and row[place - left - 1] == known[known_place - left - 1]:
        left += 1
    end, known_end = place + WINDOW, known_place + WINDOW
    while end < len(row) and known_end < len(known) and row[end] == known[known_end]:
        end, known_end = end + 1, known_end + 1
    return row[place - left : end]
