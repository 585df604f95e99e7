"""Scores of one task that came about otherwise, as by another version of a library: more than the systems differ."""

from collections.abc import Mapping

from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.findings import FindingGroup

# What hangs on the values: shares of items have another interval than other means.
_OF_THE_INTERVAL = ("ci:", "bs:", "seed:")


def scored_otherwise(recipe: Recipe, scores: Scores, labels: Mapping[str, str]) -> list[FindingGroup]:
    """Return a line for each way in which signatures differ, with the tasks that it concerns."""
    by_score: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for (system, task, metric), score in scores.items():
        parts = (part for part in score.signature.split("|") if not part.startswith(_OF_THE_INTERVAL))
        by_score.setdefault((task, metric), {})[system] = tuple(parts)
    found: dict[str, dict[str, None]] = {}
    for (task, _), systems in by_score.items():
        shared = set.intersection(*({*parts} for parts in systems.values()))
        own = {
            system: " ".join(part for part in parts if part not in shared) or "none of these"
            for system, parts in systems.items()
        }
        if len({*own.values()}) > 1:
            told = "; ".join(f"{label_of(recipe, system)} {parts}" for system, parts in own.items())
            found.setdefault(told, {})[labels.get(task, task)] = None
    lines = tuple(
        f"{', '.join(tasks)}: {told}. A difference between them may be due to this. To score all alike, delete their "
        "folders systems/NAME/evaluation and run `crosstune evaluate`."
        for told, tasks in found.items()
    )
    return [FindingGroup("Not scored alike", lines)] if lines else []
