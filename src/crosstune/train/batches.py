"""Which rows make which step: the same plan on every rank, from the seed alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crosstune.models.plain import MIN_SHARE, Way
from crosstune.models.prefixes import runs_with_shared_prefix
from crosstune.recipe import Phase
from crosstune.train.row_index import Corpus
from crosstune.train.rows import Row, Rows, Segment

# Orders of epochs that are kept: a batch may begin in one and end in the next.
_KEPT_ORDERS = 2


@dataclass(frozen=True)
class Schedule:
    """The rows of a phase in the order in which they are seen.

    Epochs follow each other without a border: the last batch of an epoch is filled from the next. Only the very last
    batch of a phase may be smaller than the others.
    """

    num_rows: int
    num_seen: int
    global_batch_size: int
    seed: tuple[int, ...]
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def num_steps(self) -> int:
        """Return the number of optimizer steps."""
        return math.ceil(self.num_seen / self.global_batch_size)

    def rows_of_step(self, step: int) -> NDArray[np.int64]:
        """Return the indices of the rows of a step, counted from 0; the order of an epoch is drawn once."""
        first = step * self.global_batch_size
        last = min(first + self.global_batch_size, self.num_seen)
        parts = []
        while first < last:
            epoch, offset = divmod(first, self.num_rows)
            parts.append(self.order(epoch)[offset : offset + last - first])
            first += len(parts[-1])
        return np.concatenate(parts)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order of all rows in an epoch."""
        if epoch not in self._orders:
            while len(self._orders) >= _KEPT_ORDERS:
                del self._orders[min(self._orders)]
            self._orders[epoch] = np.random.default_rng([*self.seed, epoch]).permutation(self.num_rows)
        return self._orders[epoch]

    def sum_of_seen(self, values: NDArray[np.int64]) -> int:
        """Return the sum of a value of each row over all rows that are seen."""
        num_epochs, rest = divmod(self.num_seen, self.num_rows)
        total = num_epochs * int(values.sum())
        return total + (int(values[self.order(num_epochs)[:rest]].sum()) if rest else 0)


def make_schedule(num_rows: int, phase: Phase, seed: tuple[int, ...]) -> Schedule:
    """Return the schedule of a phase with so many rows."""
    if phase.num_steps is not None:
        num_seen = phase.num_steps * phase.global_batch_size
    else:
        assert phase.num_epochs is not None
        num_seen = max(1, round(phase.num_epochs * num_rows))
    return Schedule(num_rows, num_seen, phase.global_batch_size, seed)


@dataclass(frozen=True)
class Share:
    """Which rank takes its part of each batch, of how many, in micro-batches of how many tokens.

    Attributes:
        way: how the model reads rows: packed, what several begin with once.
        has_pairs: whether rows are pairs, whose loss needs both answers.
    """

    rank: int
    num_ranks: int
    micro_batch_tokens: int
    way: Way = "packed"
    has_pairs: bool = False


@dataclass(frozen=True)
class Batch:
    """The global batch of a step: its numbers, and the segments of this rank's part of it.

    Attributes:
        step: counted from 0.
        rows: that the indices are of.
        indices: of the batch's rows, over all ranks.
        units: what micro-batches are made of: rows, or the texts of rows that are not read packed.
        places: the batch's units, over all ranks.
        micro_batches: this rank's; as many as any other rank's, some may be empty.
        members: the units of each micro-batch.
        supervised: the number of supervised tokens of each language and source of the rows, over all ranks.
    """

    step: int
    rows: Rows
    indices: NDArray[np.int64]
    units: Rows
    places: NDArray[np.int64]
    micro_batches: Sequence[Sequence[Segment]]
    members: Sequence[Sequence[int]]
    num_tokens: int
    num_bytes: int
    supervised: dict[Corpus, int]

    @cached_property
    def num_supervised(self) -> int:
        """Return the number of supervised tokens over all ranks."""
        return sum(self.supervised.values())

    @property
    def any_unit(self) -> Row:
        """Return a row, or a text, for a rank that has none of its own."""
        return self.units[int(self.places[0])]

    def origins(self) -> list[str]:
        """Return the file and line of each of its examples."""
        return self.rows.origins(self.indices)

    def own_origins(self) -> list[str]:
        """Return the file and line of each of this rank's segments."""
        return self.units.origins([unit for members in self.members for unit in members])


def make_batch(rows: Rows, step: int, indices: NDArray[np.int64], share: Share) -> Batch:
    """Count a step's rows, and read those that are this rank's."""
    numbers = rows.numbers(indices)
    length, num_prompt, corpus = (
        values[numbers] for values in (rows.facts.length, rows.facts.num_prompt, rows.facts.corpus)
    )
    counts = np.bincount(corpus, weights=length - num_prompt, minlength=len(rows.corpora))
    # One pass reads one text, or several of about one length: of a row of many texts, all would be kept at a time.
    is_whole = share.way == "packed" or share.has_pairs
    units, places = (rows, indices) if is_whole else (rows.apart, numbers)
    parts = split_over_ranks(units, places, share.num_ranks, share.micro_batch_tokens, share.way)
    return Batch(
        step=step,
        rows=rows,
        indices=indices,
        units=units,
        places=places,
        micro_batches=[units.segments(part) for part in parts[share.rank]],
        members=parts[share.rank],
        num_tokens=int(length.sum()),
        num_bytes=int(rows.facts.num_bytes[numbers].sum()),
        supervised=dict(zip(rows.corpora, counts.astype(int).tolist(), strict=True)),
    )


@dataclass(frozen=True)
class _Load:
    """What a row costs: its tokens, and how many of them the row before it has computed already."""

    row: int
    num_tokens: int
    num_shared: int


def split_over_ranks(
    rows: Rows,
    indices: Sequence[int] | NDArray[np.int64],
    num_ranks: int,
    budget: int,
    way: Way = "packed",
) -> list[list[list[int]]]:
    """Return, for each rank, its micro-batches of at most ``budget`` computed tokens (or one row that is longer).

    A micro-batch is the indices of its rows. Every rank gets the same number of them, so that none waits for another;
    some may be empty. Rows that begin alike stand together, where their beginning is computed and counted once; for
    each of them by a model that does not read rows packed. Such a model gets what it reads at a time, one row or one
    padded batch: autograd would keep what it needs of each, under autocast a copy of all weights.
    """
    loads = _loads(rows, np.asarray(indices, np.int64))
    if way != "packed":
        loads = [replace(load, num_shared=0) for load in loads]
    costs = np.array([load.num_tokens - load.num_shared for load in loads])
    # Each rank takes a stretch of the rows with its share of the cost.
    middles = np.cumsum(costs) - costs / 2
    owners = np.minimum(num_ranks - 1, middles * num_ranks // costs.sum()).astype(int)
    split = {"packed": _micro_batches, "right-padded": _padded_batches, "one by one": _single_rows}[way]
    ranks = [
        split([load for load, of in zip(loads, owners, strict=True) if of == rank], budget) for rank in range(num_ranks)
    ]
    longest = max(len(micro_batches) for micro_batches in ranks)
    return [micro_batches + [[] for _ in range(longest - len(micro_batches))] for micro_batches in ranks]


def _micro_batches(loads: Sequence[_Load], budget: int) -> list[list[int]]:
    """Return as few micro-batches as the budget allows, of about the same size.

    A small one after full ones would take a GPU hardly less time than a full one: LLaMA-2-7B's step of 10,559 tokens
    on an H200 took 0.91 s with one of 739 at its end, where 9,820 in one took 0.75.
    """
    filled = _fill(loads, budget)
    if len(filled) < 2:
        return filled
    total = sum(load.num_tokens - load.num_shared for load in loads)
    longest = max(load.num_tokens for load in loads)
    even = _fill(loads, min(budget, total // len(filled) + longest))
    # Where each needs a long beginning of its own, even ones can be more.
    return even if len(even) == len(filled) else filled


def _fill(loads: Sequence[_Load], budget: int) -> list[list[int]]:
    micro_batches: list[list[int]] = []
    filled = 0
    for load in loads:
        cost = load.num_tokens - load.num_shared
        if not micro_batches or filled + cost > budget:
            micro_batches.append([])
            filled, cost = 0, load.num_tokens
        micro_batches[-1].append(load.row)
        filled += cost
    return micro_batches


def _loads(rows: Rows, indices: NDArray[np.int64]) -> list[_Load]:
    beginnings = rows.tokens(rows.first[indices])
    sizes = rows.lengths(indices).tolist()
    return [
        _Load(int(indices[member]), sizes[member], shared if number else 0)
        for shared, members in runs_with_shared_prefix(beginnings)
        for number, member in enumerate(members)
    ]


def _padded_batches(loads: Sequence[_Load], budget: int) -> list[list[int]]:
    """Return rows of about one length together, which are padded to the first, longest one."""
    micro_batches: list[list[int]] = []
    longest = 0
    for load in sorted(loads, key=lambda one: -one.num_tokens):
        if (
            not micro_batches
            or load.num_tokens < MIN_SHARE * longest
            or (len(micro_batches[-1]) + 1) * longest > budget
        ):
            micro_batches.append([])
            longest = load.num_tokens
        micro_batches[-1].append(load.row)
    return micro_batches


def _single_rows(loads: Sequence[_Load], _: int) -> list[list[int]]:
    return [[load.row] for load in loads]
