"""Which differences between systems are more than chance: a test for every pair, corrected for how many there are."""

import csv
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.scores import Resamples, Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableRow
from crosstune.runs.records import SHARES_OF_CORRECT, same_items

ALPHA = 0.05
CSV_COLUMNS = ("task", "metric", "system", "other", "difference", "test", "p", "p_holm", "num_pairs")
DIFFERS, BEATS_ALL = "†", "‡"

Test = Literal["mcnemar_exact", "paired_bootstrap"]
ScoreKey = tuple[str, str, str]
"""System, task and metric."""


@dataclass(frozen=True)
class Evidence:
    """What two systems are compared by: their scores, the answers to each item, the scores on resampled items."""

    scores: Scores
    outputs: Outputs
    resamples: Resamples

    def difference(self, systems: Sequence[str], task: str, metric: str) -> float | None:
        """Return the first system's score minus the second's; None where one has none."""
        ours, theirs = (self.scores.get((system, task, metric)) for system in systems)
        return None if ours is None or theirs is None else ours.value - theirs.value

    def won_and_lost(self, systems: Sequence[str], task: str, metric: str) -> tuple[int, int, int] | None:
        """Return how many items the first system alone got right, how many the second alone, and how many there are.

        None unless these are the very items of the scores.
        """
        difference = self.difference(systems, task, metric)
        ours, theirs = (self.outputs.correct.get((system, task), {}) for system in systems)
        if difference is None or not ours or ours.keys() != theirs.keys():
            return None
        # The same numbers may stand for other questions.
        if len({self.scores[system, task, metric].items for system in systems}) > 1:
            return None
        won = sum(ours[item] and not theirs[item] for item in ours)
        lost = sum(theirs[item] and not ours[item] for item in ours)
        is_the_score = abs((won - lost) / len(ours) - difference) < 1e-6
        is_complete = all(self.scores[system, task, metric].n == len(ours) for system in systems)
        return (won, lost, len(ours)) if is_the_score and is_complete else None

    def resampled(self, systems: Sequence[str], task: str, metric: str) -> list[NDArray[np.float64]] | None:
        """Return two systems' scores on the same resamples of the same items; None without them."""
        return self.paired([(system, task, metric) for system in systems])

    def paired(self, keys: Sequence[ScoreKey]) -> list[NDArray[np.float64]] | None:
        """Return two scores on the same resamples of the same items; None without them.

        Scores of other items have the same number of resamples, too, and their difference would look like a paired one.
        Where a metric is undefined on a resample (NaN), nothing is known of how it varies.
        """
        scores = [self.scores.get(key) for key in keys]
        first, second = (self.resamples.get(key) for key in keys)
        if first is None or second is None or first.shape != second.shape:
            return None
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            return None
        return [first, second] if same_items(score for score in scores if score is not None) else None


@dataclass(frozen=True)
class Comparison:
    """The difference of two systems on one task and metric, and how surprising it is if there is none.

    Attributes:
        difference: the system's score minus the other's.
        p: two-sided, of this test alone.
        p_holm: corrected for all pairs of systems on this task and metric.
        num_pairs: how many those are.
    """

    task: str
    metric: str
    system: str
    other: str
    difference: float
    test: Test
    p: float
    p_holm: float
    num_pairs: int


def compare(evidence: Evidence, systems: Sequence[str]) -> list[Comparison]:
    """Compare every pair of systems on every task and metric that both have items or resamples of."""
    found: list[Comparison] = []
    for task, metric in dict.fromkeys((task, metric) for _, task, metric in evidence.scores):
        tested = []
        for pair in combinations(systems, 2):
            difference = evidence.difference(pair, task, metric)
            test = _test(evidence, pair, task, metric)
            if difference is not None and test is not None:
                tested.append((pair, difference, *test))
        corrected = holm([p for *_, p in tested])
        found += [
            Comparison(task, metric, *pair, difference, test, p, p_holm, len(tested))
            for (pair, difference, test, p), p_holm in zip(tested, corrected, strict=True)
        ]
    return found


def mcnemar(won: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947): where two differ, is it a fair coin who is right.

    It is never 0: where a float cannot hold it, it is the smallest that one can.

    Args:
        won: items that the first system alone got right.
        lost: items that the second alone got right.
    """
    number, fewer = won + lost, min(won, lost)
    term = total = 1
    for index in range(fewer):
        term = term * (number - index) // (index + 1)
        total += term
    # Whole numbers to the end: 2 ** 10,042 is more than a float holds.
    return min(1.0, max(sys.float_info.min, float(2 * total / 2**number)))


def paired_bootstrap(difference: float, resampled: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of the shifted paired bootstrap (Riezler and Maxwell 2005), as sacreBLEU has it.

    ``resampled`` are the differences on resampled items, [num_bootstrap]. Moved to a mean of zero they are what
    differences look like when there is none; p is the share that is as far from zero as the one observed. With 1,000
    resamples it is 0.001 at the least.
    https://aclanthology.org/W05-0908/
    """
    shifted = np.abs(resampled - resampled.mean())
    # Sums in another order differ in the last digits.
    return (int((shifted >= abs(difference) - 1e-9).sum()) + 1) / (len(resampled) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are, in their order (Holm 1979): no assumption on dependence."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


SignedP = Mapping[tuple[str, str, str, str], float]
"""Corrected p-values by task, metric, system and other; negative where the system has the lower number, never 0."""


def signed_p_values(comparisons: Sequence[Comparison]) -> SignedP:
    """Return the p-values of comparisons, each pair both ways around."""
    by_pair: dict[tuple[str, str, str, str], float] = {}
    for one in comparisons:
        sign = 1 if one.difference > 0 else -1
        by_pair[one.task, one.metric, one.system, one.other] = sign * one.p_holm
        by_pair[one.task, one.metric, one.other, one.system] = -sign * one.p_holm
    return by_pair


def marked(recipe: Recipe, tables: Iterable[Table], comparisons: Sequence[Comparison]) -> list[Table]:
    """Mark the cells that differ from the reference system's, and those that beat all others; a note says how."""
    by_pair = signed_p_values(comparisons)
    return [_marked(recipe, table, by_pair) for table in tables]


def judged(recipe: Recipe, changes: Table, by_pair: SignedP) -> Table:
    """Let only those changes be called better or worse that the test of the tables of scores finds, too."""
    reference = recipe.evaluate.reference_system

    def is_found(system: str, column: Column) -> bool:
        return abs(by_pair.get((column.task, column.metric, system, reference), math.inf)) < ALPHA

    rows = tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, is_judged=is_found(row.system, column))
                for column, cell in zip(changes.columns, row.cells, strict=True)
            ),
        )
        for row in changes.rows
    )
    return replace(changes, rows=rows)


def p_values_of(table: Table, row: TableRow, index: int, by_pair: SignedP) -> dict[str, float]:
    """Return a cell's p-values against the others of its column, by system; infinite where nothing was tested."""
    column, cell = table.columns[index], row.cells[index]
    # Below 1 BLEU nothing is translated: two such systems differ in nothing that a reader wants to know.
    if cell.value is None:
        return {}
    return {
        other.system: by_pair.get((column.task, column.metric, row.system, other.system), math.inf)
        if column.top == 1 or max(cell.value, other.cells[index].value or 0) >= 1
        else math.inf
        for other in table.rows
        if other is not row and other.cells[index].value is not None
    }


def is_beaten(p: float, column: Column) -> bool:
    """Say whether a signed p-value against another system means that the other is worse."""
    return 0 < (-p if column.less_is_better else p) < ALPHA


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return one row per comparison, at full precision."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(one) for one in comparisons)
    return stream.getvalue()


def _test(evidence: Evidence, pair: Sequence[str], task: str, metric: str) -> tuple[Test, float] | None:
    counts = evidence.won_and_lost(pair, task, metric) if metric in SHARES_OF_CORRECT else None
    if counts is not None:
        won, lost, _ = counts
        return "mcnemar_exact", mcnemar(won, lost)
    resampled = evidence.resampled(pair, task, metric)
    difference = evidence.difference(pair, task, metric)
    if resampled is None or difference is None:
        return None
    p = paired_bootstrap(difference, resampled[0] - resampled[1])
    # Of n items each may have gone either way: no test of them can say less. Few items resampled hardly vary.
    num_items = min(evidence.scores[system, task, metric].n for system in pair)
    return "paired_bootstrap", max(p, min(1.0, 2.0 ** (1 - num_items)))


def _marked(recipe: Recipe, table: Table, by_pair: SignedP) -> Table:
    reference = recipe.evaluate.reference_system
    rows = []
    for row in table.rows:
        cells = []
        for index, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            p_values = p_values_of(table, row, index, by_pair)
            cells.append(replace(cell, marks=_marks(p_values, reference, column)))
        rows.append(replace(row, cells=tuple(cells)))
    has_marks = any(cell.marks for row in rows for cell in row.cells)
    return replace(table, rows=tuple(rows), notes=(*table.notes, *([_legend(recipe, rows)] if has_marks else [])))


def _marks(p_values: dict[str, float], reference: str, column: Column) -> str:
    """Return the marks of a cell; ``p_values`` against the others are negative where it has the lower number."""
    differs = abs(p_values.get(reference, math.inf)) < ALPHA
    beats_all = len(p_values) > 1 and all(is_beaten(p, column) for p in p_values.values())
    return DIFFERS * differs + BEATS_ALL * beats_all


def _legend(recipe: Recipe, rows: Sequence[TableRow]) -> str:
    marks = "".join(cell.marks for row in rows for cell in row.cells)
    parts = []
    if DIFFERS in marks:
        parts.append(f"{DIFFERS} differs from {label_of(recipe, recipe.evaluate.reference_system)}")
    if BEATS_ALL in marks:
        parts.append(f"{BEATS_ALL} is better than every other system of the column")
    return (
        f"{', '.join(parts)}: p < {ALPHA}, exact McNemar test for accuracies and pass rates, paired bootstrap test for "
        "the others, Holm's correction over all pairs of systems of the column. All p-values: comparisons.csv."
    )
