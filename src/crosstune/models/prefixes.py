"""Which token rows begin alike, so that their beginning is computed once: an instruction, a question's context."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Sharing a shorter prefix saves less than the masked attention of its continuations costs.
MIN_SHARED_TOKENS = 8
# Copies of a prefix are at most this share of the tokens that continue it.
_MAX_COPIED = 0.02


def runs_with_shared_prefix(rows: Sequence[Sequence[int] | NDArray[np.int32]]) -> list[tuple[int, list[int]]]:
    """Return (shared tokens, row indices) of runs of rows that begin alike, in sorted order of the rows.

    >>> question = [20, 21, 22, 23, 24, 25, 26, 27]
    >>> runs_with_shared_prefix([[*question, 1, 2], [5, 6], [*question, 3]])
    [(0, [1]), (8, [0, 2])]
    """
    # Bytes of numbers whose largest digit stands first sort as the numbers do, and ten times as fast as lists of them.
    keys = [np.asarray(row, ">u4").tobytes() for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    common = [_common_prefix(keys[left], keys[right]) for left, right in pairwise(order)]
    runs: list[tuple[int, list[int]]] = []
    first = 0
    while first < len(order):
        last, shared = first, 0
        while last < len(common):
            # A run grows as long as it keeps most of the prefix that it started with.
            candidate = common[last] if last == first else min(shared, common[last])
            if candidate < max(MIN_SHARED_TOKENS, 0.75 * shared):
                break
            last, shared = last + 1, candidate
        runs.append((shared, order[first : last + 1]))
        first = last + 1
    return runs


def _common_prefix(left: bytes, right: bytes) -> int:
    """Return how many numbers of four bytes two rows have in common at their beginning."""
    shortest = min(len(left), len(right)) // 4
    if not shortest:
        return 0
    differ = np.frombuffer(left, np.uint32, shortest) != np.frombuffer(right, np.uint32, shortest)
    return int(differ.argmax()) if differ.any() else shortest


def with_copies(
    run: tuple[int, list[int]], rows: Sequence[Sequence[int]], max_continuing: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield a run's members in parts of equal length, as many as their prefix may have copies.

    With more than ``max_continuing`` tokens of members behind it, a short prefix stands several times.
    """
    shared, members = run
    ends = np.cumsum([len(rows[member]) - shared for member in members])
    total = max(1, int(ends[-1]))
    num_copies = min(math.ceil(total / max_continuing), int(_MAX_COPIED * total / shared)) if shared else 1
    parts = np.clip((ends - 1) * num_copies // total, 0, max(0, num_copies - 1))
    for part in np.unique(parts):
        yield shared, [member for member, of in zip(members, parts, strict=True) if of == part]
