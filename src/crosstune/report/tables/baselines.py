"""What needs no model: the share of items that guessing gets right, and that always giving one answer does."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from crosstune.recipe import Recipe
from crosstune.report.tables.cells import Table
from crosstune.report.tables.columns import CHANCE
from crosstune.runs.folder import RunFolder


@dataclass(frozen=True)
class Levels:
    """The levels of one task.

    Attributes:
        chance: one over the number of answers to choose from.
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
        if task.task in CHANCE and path.exists():
            with path.open(encoding="utf-8") as lines:
                labels = Counter(json.loads(line)["label"] for line in lines)
            [(_, most)] = labels.most_common(1)
            found[label] = Levels(CHANCE[task.task], most / labels.total(), labels.total())
    return found


def with_levels(tables: Iterable[Table], levels: Mapping[str, Levels]) -> list[Table]:
    """Return the tables with the majority level beside the chance level of accuracies."""
    return [
        replace(
            table,
            columns=tuple(
                replace(column, majority=levels[column.task].majority)
                if column.chance is not None and column.task in levels
                else column
                for column in table.columns
            ),
        )
        for table in tables
    ]


def to_json(levels: Mapping[str, Levels]) -> dict[str, Any]:
    """Return the levels by task, for ``levels.json``."""
    return {label: asdict(level) for label, level in levels.items()}
