"""Where windows of 15 letters of known texts stand in other texts: thousands of texts looked for at once, by hashes."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
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
# Powers for so many letters are kept.
_KEPT_POWERS = 2**18

Places = NDArray[np.int64]
Codes = NDArray[np.uint32]


class Sums:
    """Hashes of stretches of letters, each from two running sums: polynomials in an odd factor modulo 2^64."""

    def __init__(self, codes: Codes) -> None:
        """Take the letters of texts, one text behind the other."""
        powers, self._inverses = _powers(max(_KEPT_POWERS, len(codes)))
        self._sums = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(codes * powers[: len(codes)], out=self._sums[1:])

    def windows(self, size: int) -> Keys:
        """Return the hash of the window that begins at each place, also of those that reach into another text."""
        hashes: Keys = (self._sums[size:] - self._sums[:-size]) * self._inverses[: max(0, len(self._sums) - size)]
        return hashes

    def of(self, starts: Places, ends: Places) -> Keys:
        """Return the hash of each stretch between two places."""
        hashes: Keys = (self._sums[ends] - self._sums[starts]) * self._inverses[starts]
        return hashes


def hashes_of(texts: Sequence[str]) -> Keys:
    """Return the hash of each text as a whole."""
    codes, lengths = _codes(texts)
    ends = np.cumsum(lengths)
    return Sums(codes).of(ends - lengths, ends)


class KnownHashes:
    """Sorted hashes, and a table of their first bits, which tells of nearly all others that they are not among them."""

    def __init__(self, hashes: Keys) -> None:
        """Take sorted hashes; one may be there several times."""
        self._hashes = hashes
        self._bits = max(16, 5 + len(hashes).bit_length())
        self._is_there = np.zeros(2**self._bits, bool)
        self._is_there[_top_bits(hashes, self._bits)] = True

    def maybe_in(self, hashes: Keys) -> Places:
        """Return the places of hashes that may be known."""
        return np.flatnonzero(self._is_there[_top_bits(hashes, self._bits)])

    def ranges(self, hashes: Keys) -> tuple[Places, Places]:
        """Return which known ones equal each hash: from a first to before an end."""
        return np.searchsorted(self._hashes, hashes, "left"), np.searchsorted(self._hashes, hashes, "right")

    def places_in(self, hashes: Keys) -> Places:
        """Return the places of hashes that are known."""
        maybe = self.maybe_in(hashes)
        first, end = self.ranges(hashes[maybe])
        return maybe[end > first]


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
        self._hashes, self._owners, self._places = KnownHashes(hashes[chosen]), owners[chosen], places[chosen]

    def hits(self, texts: Sequence[str]) -> Iterator[Hit]:
        """Yield the windows of texts that are known, text by text from left to right."""
        for numbers, starts, pieces in _pieces(texts, self._num_letters):
            for hit in self._hits(pieces):
                yield hit._replace(text=numbers[hit.text], place=starts[hit.text] + hit.place)

    def places_in(self, sums: Sums, ends: Places) -> Places:
        """Return where a known window may begin in letters of texts that end at some places."""
        places, first, end = self._known(sums.windows(self._num_letters), ends)
        return places[end > first]

    def _known(self, hashes: Keys, ends: Places) -> tuple[Places, Places, Places]:
        """Return places of windows that may be known, and the known ones with the hash of each: a first and an end."""
        maybe = self._hashes.maybe_in(hashes)
        maybe = maybe[maybe + self._num_letters <= ends[np.searchsorted(ends, maybe, "right")]]
        return maybe, *self._hashes.ranges(hashes[maybe])

    def _hits(self, texts: Sequence[str]) -> Iterator[Hit]:
        codes, lengths = _codes(texts)
        ends = np.cumsum(lengths)
        places, first, end = self._known(Sums(codes).windows(self._num_letters), ends)
        for index in np.flatnonzero(end > first).tolist():
            at = int(places[index])
            text = int(np.searchsorted(ends, at, "right"))
            place = at - int(ends[text] - lengths[text])
            for known in range(int(first[index]), int(end[index])):
                yield Hit(text, place, int(self._owners[known]), int(self._places[known]))


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
    codes, lengths = _codes(texts)
    numbers = np.maximum(lengths - window + 1, 0)
    owners = np.repeat(np.arange(len(texts)), numbers)
    places = np.arange(len(owners)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    starts = np.repeat(np.cumsum(lengths) - lengths, numbers) + places
    return Sums(codes).windows(window)[starts], owners, places


def _codes(texts: Sequence[str]) -> tuple[Codes, Places]:
    """Return the characters of texts, one behind the other, and the length of each text."""
    codes: Codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, np.array([len(text) for text in texts], np.int64)


def _powers(number: int) -> tuple[Keys, Keys]:
    """Return so many powers of the factor and of its inverse, and one more."""
    return _kept_powers() if number == _KEPT_POWERS else _computed_powers(number)


@lru_cache(1)
def _kept_powers() -> tuple[Keys, Keys]:
    return _computed_powers(_KEPT_POWERS)


def _computed_powers(number: int) -> tuple[Keys, Keys]:
    factors = np.full((2, number + 1), [[_FACTOR], [_INVERSE]], np.uint64)
    factors[:, 0] = 1
    powers, inverses = np.cumprod(factors, axis=1)
    return powers, inverses
