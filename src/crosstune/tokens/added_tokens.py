"""The added tokens of a tokenizer in pairs of texts: what it takes out by name, before anything else cuts the text."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import AddedToken

# Unicode's White_Space, which a token with ``lstrip`` or ``rstrip`` takes in where it stands beside it.
_WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_BLANK = np.uint8(ord(" "))

Places = NDArray[np.int64]


@dataclass(frozen=True)
class CutPairs:
    """Pairs of texts, one pair behind the other, and where added tokens stand in them.

    Attributes:
        data: the bytes of all pairs.
        row_starts: where each pair begins, and the end.
        borders: where the second text of each pair begins.
        begins: where each added token begins, with the white space that it takes in.
        ends: where it ends.
        is_clear: whether the two texts of a pair, each alone, have the added tokens that they have as one text.
    """

    data: NDArray[np.uint8]
    row_starts: Places
    borders: Places
    begins: Places
    ends: Places
    is_clear: NDArray[np.bool_]

    def texts(self, rows: Iterable[int]) -> tuple[list[str], list[str]]:
        """Return the first and the second texts of some pairs."""
        places = [(self.row_starts[row], self.borders[row], self.row_starts[row + 1]) for row in rows]
        first = [self.data[begin:border].tobytes().decode() for begin, border, _ in places]
        return first, [self.data[border:end].tobytes().decode() for _, border, end in places]

    def edges(self) -> Places:
        """Return where pieces of text begin and end, between which nothing is joined."""
        return np.sort(np.concatenate([self.row_starts, self.begins, self.ends]))

    def inside(self) -> NDArray[np.bool_]:
        """Return for each byte, and the end, whether it belongs to an added token that began before."""
        change = np.zeros(len(self.data) + 1, np.int8)
        change[self.begins + 1] += 1
        change[self.ends] -= 1
        return np.cumsum(change, dtype=np.int8).astype(bool)

    def with_spaces(self) -> "CutPairs":
        """Return the pairs with a space before each piece of text, but for that at the border, which goes on."""
        starts = self.row_starts[:-1]
        row_ends = self.row_starts[1:][_rows_of(self.begins, self.row_starts)]
        fronts = np.concatenate([starts[starts < self.borders], self.ends[self.ends < row_ends]])
        fronts = np.setdiff1d(fronts, self.begins)
        data = np.insert(self.data, fronts, _BLANK)
        row_starts, borders, begins, ends = (
            places + np.searchsorted(fronts, places)
            for places in (self.row_starts, self.borders, self.begins, self.ends)
        )
        return CutPairs(data, row_starts, borders, begins, ends, self.is_clear)


class AddedTokens:
    """Finds some added tokens of a tokenizer as it does itself: from the left, the longest of those that begin alike.

    Attributes:
        ids: of the texts that were found, with the white space that they take in.
        unclear: what no text may hold that is cut here: tokens that must be whole words, or are looked for in another
            text than the one given, which a normalizer makes.
    """

    def __init__(self, tokens: Mapping[int, AddedToken], has_normalizer: bool) -> None:
        takes_white = any(token.lstrip or token.rstrip for token in tokens.values())

        def is_unclear(token: AddedToken) -> bool:
            is_white_outside = str(token.content).strip(_WHITE) != token.content
            return token.single_word or (has_normalizer and token.normalized) or (takes_white and is_white_outside)

        clear = {index: token for index, token in tokens.items() if token.content and not is_unclear(token)}
        self.unclear = tuple(str(token.content) for token in tokens.values() if is_unclear(token))
        self.ids = {str(token.content): index for index, token in clear.items()}
        self._strips = {
            str(token.content).encode(): (token.lstrip, token.rstrip)
            for token in clear.values()
            if token.lstrip or token.rstrip
        }
        # Those that a normalizer would touch are looked for in what the others leave.
        self._patterns = [
            re.compile(_any_of([str(token.content).encode() for token in clear.values() if token.normalized == later]))
            for later in sorted({token.normalized for token in clear.values()})
        ]

    def cut(self, joined: pa.Array, num_first: NDArray[np.int64], puts_a_space_before: bool) -> CutPairs:
        """Return pairs of texts, each joined to one text (``large_string``), cut at the tokens."""
        data, row_starts = buffers(joined)
        borders = row_starts[:-1] + num_first
        begins = ends = np.empty(0, np.int64)
        for pattern in self._patterns:
            # The pieces between those that were found: all lie one behind the other.
            starts = np.sort(np.concatenate([row_starts[:-1], ends]))
            stops = np.sort(np.concatenate([row_starts[1:], begins]))
            found = self._found(pattern, data, starts, stops)
            begins, ends = (np.sort(np.concatenate(both)) for both in zip((begins, ends), found.T, strict=True))
        is_clear = np.ones(len(joined), bool)
        rows = _rows_of(begins, row_starts)
        at = borders[rows]
        unclear = (begins < at) & (at < ends)
        if self._strips:
            # It may take in what stands before it, and what it is given to stand behind.
            unclear |= begins == at
        if puts_a_space_before:
            # As one text, the second would begin with a space.
            unclear |= (ends == at) & (at < row_starts[1:][rows])
        is_clear[rows[unclear]] = False
        return CutPairs(data, row_starts, borders, begins, ends, is_clear)

    def _found(self, pattern: re.Pattern[bytes], data: NDArray[np.uint8], starts: Places, stops: Places) -> Places:
        """Return where tokens begin and end in pieces of some bytes, [tokens, 2]."""
        content = data.tobytes()
        found: list[tuple[int, int]] = []
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            for match in pattern.finditer(content, start, stop):
                found.append(match.span())
                if match[0] in self._strips:
                    found[-1] = self._with_white(content, match, max(start, found[-2][1] if found[1:] else 0), stop)
        return np.array(found, np.int64).reshape(-1, 2)

    def _with_white(self, content: bytes, match: re.Match[bytes], start: int, stop: int) -> tuple[int, int]:
        """Return where a token begins and ends with the white space that it takes in, between two places."""
        (begin, end), (left, right) = match.span(), self._strips[match[0]]
        if left:
            begin = start + len(content[start:begin].decode().rstrip(_WHITE).encode())
        if right:
            end = stop - len(content[end:stop].decode().lstrip(_WHITE).encode())
        self.ids[content[begin:end].decode()] = self.ids[match[0].decode()]
        return begin, end


def _any_of(texts: Collection[bytes]) -> bytes:
    """Return a regular expression for any of some texts, the longest that fits.

    By their common beginnings: tried one by one, hundreds of tokens that begin alike would take the longest time.

    >>> _any_of([b"<a>", b"<ab>", b"<a"])
    b'<a(?:>|b>)?'
    """
    behind = defaultdict[bytes, list[bytes]](list)
    for text in texts:
        behind[text[:1]].append(text[1:])
    may_end = behind.pop(b"", None) is not None
    branches = [re.escape(first) + _any_of(rest) for first, rest in behind.items()]
    if len(branches) < 2 and not may_end:
        return b"".join(branches)
    return b"(?:" + b"|".join(branches) + b")" + b"?" * may_end if branches else b""


def _rows_of(places: Places, row_starts: Places) -> Places:
    """Return which row each place belongs to; rows may hold nothing."""
    return np.searchsorted(row_starts, places, "right") - 1


def buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of all texts, and where each begins, and the end."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    return content[starts[0] : starts[-1]], starts - starts[0]
