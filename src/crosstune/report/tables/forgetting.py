"""Whether a system forgot more than the recipe allows, task by task; what cannot be checked is told, not passed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell
from crosstune.report.tables.changes import known_columns

Verdict = Literal["pass", "fail", "undecided", "unchecked"]


@dataclass(frozen=True)
class Forgetting:
    """One system on one task of the language that the model knew.

    Attributes:
        change: adapted minus base; None without both scores. Below zero is forgetting, of bits per byte above zero.
        low: lower end of the paired 95 % interval; None where the two systems cannot be compared item by item.
        high: its upper end.
        limit: the recipe's ``max_forgetting``, on the metric's scale.
    """

    system: str
    label: str
    task: str
    metric: str
    change: float | None
    low: float | None
    high: float | None
    limit: float
    verdict: Verdict


def verdicts(recipe: Recipe, scores: Scores, changes: Table | None) -> list[Forgetting]:
    """Hold every adapted system on every source-language task against the recipe's limit; none where it sets none."""
    limit = recipe.evaluate.max_forgetting
    if limit is None:
        return []
    places = {column.task: place for place, column in enumerate(changes.columns)} if changes else {}
    rows = {row.system: row for row in changes.rows} if changes else {}

    def cell(system: str, task: str) -> TableCell:
        return rows[system].cells[places[task]] if system in rows and task in places else TableCell()

    return [
        _forgetting(recipe, system, column, cell(system, column.task), limit * column.top)
        for system in recipe.adapted_systems
        for column in known_columns(recipe, scores)
    ]


def _forgetting(recipe: Recipe, system: str, column: Column, cell: TableCell, limit: float) -> Forgetting:
    names = system, label_of(recipe, system), column.task, column.metric
    loss = column.loss(cell) if column.is_scale_known else None
    return Forgetting(*names, cell.value, cell.low, cell.high, limit, verdict(loss, limit))


def verdict(loss: tuple[float, float] | None, limit: float) -> Verdict:
    """Return what the interval of a loss says: all of it within the limit, all of it beyond, or neither."""
    if loss is None:
        return "unchecked"
    low, high = loss
    if high <= limit:
        return "pass"
    return "fail" if low > limit else "undecided"


def sentence(found: list[Forgetting]) -> str:
    """Say in one sentence who passes; a system fails with its worst task."""
    if not found:
        return ""
    parts = []
    for name in ("fail", "unchecked", "undecided", "pass"):
        labels = [label for label, worst in _worst(found).items() if worst == name]
        if labels:
            parts.append(f"{name}: {'; '.join(labels)}")
    return f"Against the limit of {found[0].limit:g}: {'. '.join(parts)}."


def to_json(found: list[Forgetting]) -> list[dict[str, Any]]:
    """Return the verdicts as rows."""
    return [asdict(one) for one in found]


def failure(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return why a check of these verdicts, as `to_json` gives them, fails: a loss, or nothing that was checked."""
    rows = list(rows)
    if not rows:
        return (
            "forgetting was to be checked, but there is nothing to check: the run has no adapted system, or no task in "
            "the source language. Add such a task to evaluate.tasks, and evaluate"
        )
    return "\n".join(_reasons(rows))


def _reasons(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        where = f"{row['label']} on {row['task']} ({row['metric']})"
        if row["verdict"] == "fail":
            yield (
                f"{where} forgot more than {row['limit']:g}: its change is {row['change']:+.3f} "
                f"[{row['low']:+.3f}, {row['high']:+.3f}]"
            )
        elif row["verdict"] == "unchecked":
            yield f"{where} could not be checked: {_obstacle(row)}"


def _obstacle(row: Mapping[str, Any]) -> str:
    if row["low"] is not None:
        return (
            f"its numbers are beyond 1, on a scale that crosstune does not know, and the limit of {row['limit']:g} is "
            f"one of shares from 0 to 1 or of bits per byte; score another metric of it, or remove the task"
        )
    lacks = "a score" if row["change"] is None else "the same items"
    return f"it and the reference system need {lacks} there; evaluate both again"


def _worst(found: list[Forgetting]) -> dict[str, Verdict]:
    order: tuple[Verdict, ...] = ("pass", "undecided", "unchecked", "fail")
    worst: dict[str, Verdict] = {}
    for one in found:
        worst[one.label] = max(worst.get(one.label, "pass"), one.verdict, key=order.index)
    return worst
