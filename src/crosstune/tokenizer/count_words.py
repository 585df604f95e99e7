"""Count a language's words in texts: found and counted as arrays, many texts at once."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crosstune.languages.characters import JOINERS
from crosstune.runs.in_order import text_batches

# What is counted at once: some ten bytes for each character.
BATCH_CHARACTERS = 4_000_000
# Counts of so many bytes together are added up as arrays, before each word becomes Python.
BYTES_TOGETHER = 256_000_000
_SPACE = ord(" ")
_BYTES = 4

Codes = NDArray[np.uint32]
Places = NDArray[np.int64]


def count_words(texts: Iterable[str], letters: str, only_single_spaces: bool) -> Counter[str]:
    """Count the runs of letters and joiners that begin with a letter, each with the one space before it.

    ``letters`` are the inside of a class. ``only_single_spaces``: of several spaces none belongs to the word. It counts
    what the expressions `` ?[letters][letters and joiners]*`` and ``(?:(?<! ) )?[...][...]*`` find, in that order.
    """
    is_letter = _table(letters)
    is_part = is_letter.copy()
    is_part[[ord(joiner) for joiner in JOINERS]] = True
    counts: Counter[str] = Counter()
    tables: list[pa.Table] = []
    for batch in text_batches(texts, BATCH_CHARACTERS):
        codes: Codes = np.frombuffer("\n".join(batch).encode("utf-32-le", "surrogatepass"), np.uint32)
        starts, ends = _runs(is_part[codes], is_letter, codes)
        is_space = codes == _SPACE
        # The first character of the batch has none before it, the second none before that.
        has_space = is_space[np.maximum(starts - 1, 0)] & (starts > 0)
        if only_single_spaces:
            has_space &= ~is_space[np.maximum(starts - 2, 0)] | (starts < 2)
        tables.append(_counted(codes, starts - has_space, ends))
        if sum(table.nbytes for table in tables) > BYTES_TOGETHER:
            _add(counts, tables)
            tables = []
    if tables:
        _add(counts, tables)
    return counts


def _add(counts: Counter[str], tables: list[pa.Table]) -> None:
    for word, count in _words(_together(tables)):
        counts[word] = counts.get(word, 0) + count


@lru_cache(2)
def _table(letters: str) -> NDArray[np.bool_]:
    """Return of each character whether it is a letter."""
    codes = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    everything = codes[(codes < 0xD800) | (codes > 0xDFFF)].tobytes().decode("utf-32-le")
    table = np.zeros(sys.maxunicode + 1, bool)
    table[[ord(letter) for letter in "".join(re.findall(f"[{letters}]+", everything))]] = True
    return table


def _runs(parts: NDArray[np.bool_], is_letter: NDArray[np.bool_], codes: Codes) -> tuple[Places, Places]:
    """Return where runs of parts begin and end, without the joiners before their first letter."""
    borders = np.flatnonzero(np.diff(parts, prepend=False, append=False))
    starts, ends = borders[::2], borders[1::2]
    if is_letter[codes[starts]].all():
        return starts, ends
    letters = np.append(np.flatnonzero(is_letter[codes]), len(codes))
    starts = letters[np.searchsorted(letters, starts)]
    return starts[starts < ends], ends[starts < ends]


def _counted(codes: Codes, starts: Places, ends: Places) -> pa.Table:
    """Return each different stretch, in the order in which they are met, and how often it is there."""
    steps = np.zeros(len(codes) + 1, np.int8)
    steps[starts] += 1
    steps[ends] -= 1
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    characters = codes[np.cumsum(steps[:-1], dtype=np.int8).astype(bool)]
    buffers = [None, pa.py_buffer((_BYTES * offsets).astype(np.int32)), pa.py_buffer(characters)]
    found = pc.value_counts(pa.Array.from_buffers(pa.binary(), len(starts), buffers))
    return pa.table({"word": found.field("values"), "count": found.field("counts")})


def _together(tables: list[pa.Table]) -> pa.Table:
    """Return the counts of several tables as one, in the order in which the words are met."""
    table = pa.concat_tables(tables).combine_chunks()
    words = pc.dictionary_encode(table.column("word")).combine_chunks()
    counts = np.zeros(len(words.dictionary), np.int64)
    np.add.at(counts, words.indices.to_numpy(), table.column("count").to_numpy())
    return pa.table({"word": words.dictionary, "count": counts})


def _words(table: pa.Table) -> Iterator[tuple[str, int]]:
    values = table.column("word").combine_chunks()
    text = b"".join(values.to_pylist()).decode("utf-32-le", "surrogatepass")
    lengths = pc.binary_length(values).to_numpy() // _BYTES
    last = np.cumsum(lengths)
    places = zip((last - lengths).tolist(), last.tolist(), table.column("count").to_pylist(), strict=True)
    return ((text[start:end], count) for start, end, count in places)
