"""Where windows of 15 letters of known texts stand in other texts: thousands of texts looked for at once, by hashes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crosstune.data.external_shuffle import Keys

WINDOW = 15
# An odd factor, so that it has an inverse modulo 2^64: the hash of a window follows from two sums.
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 2**64)
_RARITY_BITS = 22
# What is hashed at once: 60 bytes a letter.
BATCH_LETTERS = 2**20

Places = NDArray[np.int64]


class Hit(NamedTuple):
    """A window that a text shares with a known one, and where it begins in each."""

    text: int
    place: int
    known: int
    known_place: int


class LetterWindows:
    """Some windows of known texts: of each text its rarest, by which the whole is found, and others as asked for.

    Hashes may collide: who asks compares the texts.
    """

    def __init__(self, texts: Sequence[str], more: Sequence[NDArray[np.bool_]] = (), num_letters: int = WINDOW) -> None:
        """Take texts of at least ``num_letters``; ``more`` says for each which other windows of it count, too."""
        self._num_letters = num_letters
        hashes, owners, places = _windows(texts, num_letters)
        rarity = np.bincount(_top_bits(hashes, _RARITY_BITS), minlength=2**_RARITY_BITS)[
            _top_bits(hashes, _RARITY_BITS)
        ]
        chosen = first_of_rarest(owners, rarity)
        if more:
            others = np.flatnonzero(np.concatenate(more))
            # One place for each window will do: from it the shared stretch is followed to both sides.
            others = others[np.unique(hashes[others], return_index=True)[1]]
            chosen = np.union1d(chosen, others)
        chosen = chosen[np.argsort(hashes[chosen], kind="stable")]
        self._hashes, self._owners, self._places = hashes[chosen], owners[chosen], places[chosen]
        self._bits = max(16, 5 + len(chosen).bit_length())
        self._is_there = np.zeros(2**self._bits, bool)
        self._is_there[_top_bits(self._hashes, self._bits)] = True

    def hits(self, texts: Sequence[str]) -> Iterator[Hit]:
        """Yield the windows of texts that are known, text by text from left to right."""
        for numbers, starts, pieces in _pieces(texts, self._num_letters):
            for hit in self._hits(pieces):
                yield hit._replace(text=numbers[hit.text], place=starts[hit.text] + hit.place)

    def _hits(self, texts: Sequence[str]) -> Iterator[Hit]:
        hashes, owners, places = _windows(texts, self._num_letters)
        maybe = np.flatnonzero(self._is_there[_top_bits(hashes, self._bits)])
        first = np.searchsorted(self._hashes, hashes[maybe], "left")
        end = np.searchsorted(self._hashes, hashes[maybe], "right")
        for index in np.flatnonzero(end > first).tolist():
            at = int(maybe[index])
            for known in range(int(first[index]), int(end[index])):
                yield Hit(int(owners[at]), int(places[at]), int(self._owners[known]), int(self._places[known]))


def first_of_rarest(owners: Places, rarity: Places) -> Places:
    """Return for each owner the first of its entries that are rarest; those of one owner stand together."""
    if not len(owners):
        return owners
    # The least of these numbers, of which none occurs twice: sorting millions of windows takes ten times as long.
    ranks = (rarity.astype(np.int64) << 32) + np.arange(len(rarity))
    least: Places = np.minimum.reduceat(ranks, np.flatnonzero(np.diff(owners, prepend=-1)))
    return least & (2**32 - 1)


def _pieces(texts: Sequence[str], window: int) -> Iterator[tuple[list[int], list[int], list[str]]]:
    """Yield batches of bounded size: which texts they are of, where in these they begin, and the pieces."""
    numbers: list[int] = []
    starts: list[int] = []
    pieces: list[str] = []
    num_letters = 0
    for number, text in enumerate(texts):
        # Pieces of one text overlap, so that each window lies whole in one of them.
        for start in range(0, max(1, len(text) - window + 1), BATCH_LETTERS):
            pieces.append(text[start : start + BATCH_LETTERS + window - 1])
            numbers.append(number)
            starts.append(start)
            num_letters += len(pieces[-1])
            if num_letters >= BATCH_LETTERS:
                yield numbers, starts, pieces
                numbers, starts, pieces, num_letters = [], [], [], 0
    if pieces:
        yield numbers, starts, pieces


def _top_bits(hashes: Keys, bits: int) -> Places:
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def _windows(texts: Sequence[str], window: int) -> tuple[Keys, Places, Places]:
    """Return the hash of each window of each text, which text it is of, and where in it the window begins."""
    lengths = np.array([len(text) for text in texts], np.int64)
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    powers = np.full(len(codes) + 1, _FACTOR, np.uint64)
    powers[0] = 1
    inverses = np.full(len(codes) + 1, _INVERSE, np.uint64)
    inverses[0] = 1
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * np.cumprod(powers)[:-1], dtype=np.uint64)])
    numbers = np.maximum(lengths - window + 1, 0)
    owners = np.repeat(np.arange(len(texts)), numbers)
    places = np.arange(len(owners)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    starts = np.repeat(np.cumsum(lengths) - lengths, numbers) + places
    hashes: Keys = (sums[starts + window] - sums[starts]) * np.cumprod(inverses)[starts]
    return hashes, owners, places
