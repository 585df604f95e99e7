"""What needs no model: the share of items that guessing gets right, and that always giving one answer does."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from crosstune.recipe import Recipe
from crosstune.report.tables.cells import Column, Table, mark_best
from crosstune.runs.folder import RunFolder


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


def to_json(levels: Mapping[str, Levels]) -> dict[str, Any]:
    """Return the levels by task, for ``levels.json``."""
    return {label: asdict(level) for label, level in levels.items()}
