"""How answers failed: counts by system and cell, as bars, as tables and as a file."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.tables.build import label_of
from crosstune.report.write.bars import stacked_bars
from crosstune.report.write.markdown import escape
from crosstune.tasks.diagnostics import FAILURES

CSV_COLUMNS = ("system", "task", "failure", "count", "n")


@dataclass(frozen=True)
class CellFailures:
    """One task or translation cell.

    Attributes:
        rows: system and label, how many answers there are, how many have each failure, and how many have it first.
    """

    task: str
    label: str
    rows: tuple[tuple[str, str, int, Mapping[str, int], Mapping[str, int]], ...]


def read_failures(recipe: Recipe, outputs: Outputs, labels: Mapping[str, str]) -> list[CellFailures]:
    """Return the failures of every generated task, in the order of the outputs; none where no answer was judged."""
    found = []
    for task in dict.fromkeys(task for _, task in outputs.failures):
        rows = []
        for system in recipe.systems:
            judged = outputs.failures.get((system, task))
            if judged is not None:
                every = Counter(failure for one in judged for failure in one)
                first = Counter(one[0] for one in judged if one)
                rows.append((system, label_of(recipe, system), len(judged), every, first))
        if rows:
            found.append(CellFailures(task, labels.get(task, task), tuple(rows)))
    return found


def figures(cells: Sequence[CellFailures]) -> list[tuple[str, Markup]]:
    """Draw each cell's bars: an answer counts once, by its first failure, so that a bar's parts add up."""
    return [
        (
            cell.label,
            stacked_bars(
                [(label, [first.get(name, 0) / n for name in FAILURES]) for _, label, n, _, first in cell.rows]
            ),
        )
        for cell in cells
    ]


def to_csv(cells: Sequence[CellFailures]) -> str:
    """Return how many answers have each failure; one that has several counts under each."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for cell in cells:
        for system, _, n, every, _ in cell.rows:
            writer.writerows((system, cell.task, name, every.get(name, 0), n) for name in FAILURES)
    return stream.getvalue()


def to_markdown(cells: Sequence[CellFailures]) -> str:
    """Return the counts as one table, or nothing without any."""
    if not cells:
        return ""
    lines = [
        "| answers of | system | n | " + " | ".join(FAILURES) + " |",
        "|---|---|---:|" + "---:|" * len(FAILURES),
        *_lines(cells),
    ]
    about = "How many answers have each failure, by the rules of docs/diagnostics.md; an answer may have several."
    return "\n\n".join(["## How answers failed", about, "\n".join(lines)])


def _lines(cells: Sequence[CellFailures]) -> Iterator[str]:
    for cell in cells:
        for _, label, n, every, _ in cell.rows:
            counts = " | ".join(str(every.get(name, 0)) for name in FAILURES)
            yield f"| {escape(cell.label)} | {escape(label)} | {n} | {counts} |"
