"""Systems that give one answer to nearly all items of a task: their score is that answer's share, and no more."""

from collections.abc import Iterable, Mapping

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.tables.build import label_of
from crosstune.report.tables.findings import FindingGroup

# Of fewer items, one answer may be right by chance.
_LEAST_ITEMS = 20
_NEARLY_ALL = 0.95
_LONGEST = 40


def one_answer(recipe: Recipe, outputs: Outputs, labels: Mapping[str, str]) -> list[FindingGroup]:
    """Return a line for each task that systems answer alike, whatever the item, though its right answers differ."""
    found: dict[str, list[str]] = {}
    for (system, task), answers in outputs.closed_answers().items():
        [(answer, most)], total = answers.given.most_common(1), answers.given.total()
        [(_, right)] = answers.right.most_common(1)
        if answer and total >= _LEAST_ITEMS and most >= _NEARLY_ALL * total > right:
            shown = answer if len(answer) <= _LONGEST else f"{answer[:_LONGEST]}…"
            told = f"{label_of(recipe, system)} answers “{shown}” to {most:,} of {total:,} items"
            found.setdefault(task, []).append(told)
    lines = tuple(_line(labels.get(task, task), told) for task, told in found.items())
    return [FindingGroup("One answer to all", lines)] if lines else []


def _line(task: str, told: Iterable[str]) -> str:
    return f"{task}: {'; '.join(told)}. The score is that answer's share: it does not show what was understood."
