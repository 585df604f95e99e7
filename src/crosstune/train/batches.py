"""Which rows make which step: the same plan on every rank, from the seed alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.models.prefixes import runs_with_shared_prefix
from crosstune.recipe import Phase
from crosstune.train.rows import Row, Segment


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

    @property
    def num_steps(self) -> int:
        """Return the number of optimiser steps."""
        return math.ceil(self.num_seen / self.global_batch_size)

    def rows_of_step(self, step: int) -> list[int]:
        """Return the indices of the rows of a step, counted from 0."""
        first = step * self.global_batch_size
        last = min(first + self.global_batch_size, self.num_seen)
        orders = {epoch: self._order(epoch) for epoch in range(first // self.num_rows, (last - 1) // self.num_rows + 1)}
        return [int(orders[place // self.num_rows][place % self.num_rows]) for place in range(first, last)]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([*self.seed, epoch]).permutation(self.num_rows)


def make_schedule(num_rows: int, phase: Phase, seed: tuple[int, ...]) -> Schedule:
    """Return the schedule of a phase with so many rows."""
    if phase.num_steps is not None:
        num_seen = phase.num_steps * phase.global_batch_size
    else:
        assert phase.num_epochs is not None
        num_seen = max(1, round(phase.num_epochs * num_rows))
    return Schedule(num_rows, num_seen, phase.global_batch_size, seed)


@dataclass(frozen=True)
class _Load:
    """What a row costs: its tokens, and how many of them the row before it has computed already."""

    row: Row
    num_tokens: int
    num_shared: int


def split_over_ranks(batch: Sequence[Row], num_ranks: int, budget: int) -> list[list[list[Segment]]]:
    """Return, for each rank, its micro-batches of at most ``budget`` computed tokens (or one row that is longer).

    Every rank gets the same number of micro-batches, so that none waits for another; some may be empty. Rows that begin
    alike stand together, where their beginning is computed and counted once.
    """
    loads = list(_loads(batch))
    costs = np.array([load.num_tokens - load.num_shared for load in loads])
    # Each rank takes a stretch of the rows with its share of the cost.
    middles = np.cumsum(costs) - costs / 2
    owners = np.minimum(num_ranks - 1, middles * num_ranks // costs.sum()).astype(int)
    ranks = [
        _micro_batches([load for load, of in zip(loads, owners, strict=True) if of == rank], budget)
        for rank in range(num_ranks)
    ]
    longest = max(len(micro_batches) for micro_batches in ranks)
    return [micro_batches + [[] for _ in range(longest - len(micro_batches))] for micro_batches in ranks]


def _micro_batches(loads: Sequence[_Load], budget: int) -> list[list[Segment]]:
    """Return as few micro-batches as the budget allows, of about the same size.

    A small one behind full ones would take a GPU hardly less time than a full one: LLaMA-2-7B's step of 10,559 tokens
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


def _fill(loads: Sequence[_Load], budget: int) -> list[list[Segment]]:
    micro_batches: list[list[Segment]] = []
    filled = 0
    for load in loads:
        cost = load.num_tokens - load.num_shared
        if not micro_batches or filled + cost > budget:
            micro_batches.append([])
            filled, cost = 0, load.num_tokens
        micro_batches[-1].extend(load.row)
        filled += cost
    return micro_batches


def _loads(batch: Sequence[Row]) -> Iterator[_Load]:
    for shared, members in runs_with_shared_prefix([row[0].tokens for row in batch]):
        for place, member in enumerate(members):
            row = batch[member]
            yield _Load(row, sum(len(segment.tokens) for segment in row), shared if place else 0)
