"""Whether a system forgot more than the recipe allows, task by task."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.cells import Cell, Table
from crosstune.report.tables.changes import source_columns

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class Forgetting:
    """One system on one task of the language that the model knew.

    Attributes:
        change: adapted minus base; below zero is forgetting.
        low: lower end of the paired 95 % interval.
        high: its upper end.
        limit: the recipe's ``max_forgetting``.
    """

    system: str
    label: str
    task: str
    change: float
    low: float
    high: float
    limit: float
    verdict: Verdict


def verdicts(recipe: Recipe, scores: Scores, changes: Table | None) -> list[Forgetting]:
    """Hold every change on a source-language task against the recipe's limit; none where it sets none."""
    limit = recipe.evaluate.max_forgetting
    if limit is None or changes is None:
        return []
    known = {column.task for column in source_columns(recipe, scores)}
    return [
        Forgetting(row.system, row.label, column.task, cell.value, cell.low, cell.high, limit, verdict(cell, limit))
        for row in changes.rows
        for column, cell in zip(changes.columns, row.cells, strict=True)
        if column.task in known and cell.value is not None and cell.low is not None and cell.high is not None
    ]


def verdict(cell: Cell, limit: float) -> Verdict:
    """Return what an interval says: all of it above the limit, all of it below, or neither."""
    assert cell.low is not None and cell.high is not None
    if cell.low >= -limit:
        return "pass"
    return "fail" if cell.high < -limit else "undecided"


def sentence(found: list[Forgetting]) -> str:
    """Say in one sentence who passes; a system fails with its worst task."""
    if not found:
        return ""
    parts = []
    for name in ("fail", "undecided", "pass"):
        labels = [label for label, worst in _worst(found).items() if worst == name]
        if labels:
            parts.append(f"{name}: {'; '.join(labels)}")
    return f"Held against the limit of {found[0].limit:g}: {'. '.join(parts)}."


def to_json(found: list[Forgetting]) -> list[dict[str, Any]]:
    """Return the verdicts as rows."""
    return [asdict(one) for one in found]


def _worst(found: list[Forgetting]) -> dict[str, Verdict]:
    order: tuple[Verdict, ...] = ("pass", "undecided", "fail")
    worst: dict[str, Verdict] = {}
    for one in found:
        worst[one.label] = max(worst.get(one.label, "pass"), one.verdict, key=order.index)
    return worst
