"""What needs no model: the share of items that guessing gets right, and that always giving one answer does."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from crosstune.recipe import Recipe
from crosstune.report.tables.cells import Column, Table, mark_best
from crosstune.runs.files import read_json
from crosstune.runs.folder import BASELINES, RunFolder

# How each baseline answers.
_HOW = {
    "translation memory": "translation of the training sentence with the most shared character trigrams",
    "naive Bayes": "on the words of the training rows whose answer names one of the labels",
}


@dataclass(frozen=True)
class Levels:
    """The levels of one task.

    Attributes:
        chance: one over the number of answers to choose from, on average.
        majority: the share of the most frequent right answer, by its place among them.
        n: items.
    """

    chance: float
    majority: float
    n: int


def read_levels(recipe: Recipe, run: RunFolder) -> dict[str, Levels]:
    """Return the levels of every task with labelled items, by the task's label in the recipe."""
    found = {}
    for label, task in recipe.evaluate.tasks_with_files.items():
        path = run.evaluation_set(label) / "items.jsonl"
        if task.spec.num_labels and path.exists():
            with path.open(encoding="utf-8") as lines:
                items = [json.loads(line) for line in lines]
            [(_, most)] = Counter(item["label"] for item in items).most_common(1)
            chance = sum(task.spec.chance_of(item) for item in items) / len(items)
            found[label] = Levels(chance, most / len(items), len(items))
    return found


def with_levels(tables: Iterable[Table], levels: Mapping[str, Levels]) -> list[Table]:
    """Return the tables with the levels beside their accuracies; the best of a column is above both."""

    def levelled(column: Column) -> Column:
        known = levels.get(column.task)
        if column.chance is None or known is None:
            return column
        return replace(column, chance=known.chance, majority=known.majority)

    return [mark_best(replace(table, columns=tuple(map(levelled, table.columns)))) for table in tables]


def read_baselines(run: RunFolder) -> list[dict[str, Any]]:
    """Return the scores of what the training rows give without a model, as evaluation wrote them."""
    path = run.root / BASELINES
    return list(read_json(path)["scores"]) if path.is_file() else []


def with_baselines(tables: Iterable[Table], scores: Iterable[Mapping[str, Any]]) -> list[Table]:
    """Return the tables, with what a model has to be above: baselines in columns and in a note; no best is below."""
    known = {(score["task"], score["metric"]): score for score in scores}

    def noted(table: Table) -> Table:
        by_name: dict[str, list[str]] = {}
        for column in table.columns:
            if not column.signed and (score := known.get((column.task, column.metric))):
                value, low, high = (column.text(score[name]) for name in ("value", "low", "high"))
                by_name.setdefault(score["baseline"], []).append(f"{column.name} {value} [{low}, {high}]")
        notes = tuple(
            f"Without a model, {name} ({_HOW[name]}) reaches: {'; '.join(values)}." for name, values in by_name.items()
        )
        columns = tuple(replace(column, baseline=_reached(known, column)) for column in table.columns)
        return mark_best(replace(table, columns=columns, notes=(*table.notes, *notes)))

    return [noted(table) for table in tables]


def _reached(known: Mapping[tuple[str, str], Mapping[str, Any]], column: Column) -> tuple[str, float] | None:
    score = known.get((column.task, column.metric))
    return (score["baseline"], score["value"]) if score else None


def to_json(levels: Mapping[str, Levels]) -> dict[str, Any]:
    """Return the levels by task, for ``levels.json``."""
    return {label: asdict(level) for label, level in levels.items()}
