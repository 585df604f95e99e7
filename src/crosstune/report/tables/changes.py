"""Gain and forgetting: every system's change against the reference system, task by task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.scores import Scores, paired_interval
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.columns import in_group, language_columns, paper_translations, translation_columns
from crosstune.report.tables.significance import Evidence
from crosstune.runs.records import SHARES_OF_CORRECT

FORGOTTEN = "change of accuracy in the source language, points"
"""What the x axis of a figure of gain and forgetting shows."""
_GAINS = (("Translation into", "change of BLEU"), ("Tasks in", "change of accuracy, points"))
_NORMAL_97_5 = 1.959964


@dataclass(frozen=True)
class Change:
    """Where a system stands in the gain and forgetting figure: means of differences to the reference system.

    Attributes:
        source: mean change of accuracy on the source language's tasks, in points (hundredths).
        gains: what was won, in the order of ``gain_titles``: of each target, the mean change of BLEU into it and of
            accuracy on its tasks, in points; None without translation, and without such tasks.
    """

    system: str
    label: str
    source: float
    gains: tuple[float | None, ...]


def gain_titles(recipe: Recipe) -> list[tuple[str, str]]:
    """Return titles and y axes of the figures of gain and forgetting."""
    targets = recipe.languages.targets
    names = ["the target language"] if len(targets) == 1 else [language_name(code, "en") for code in targets]
    return [(f"{what} {name}", axis) for name in names for what, axis in _GAINS]


def source_columns(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return the accuracy tasks in the language that the model knew."""
    return [column for column in known_columns(recipe, scores) if column.metric == "acc"]


def target_columns(recipe: Recipe, scores: Scores, target: str) -> list[Column]:
    """Return the accuracy tasks in a target language."""
    columns = language_columns(recipe, scores, target)
    return [column for column in columns if column.metric == "acc"]


def known_columns(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return all tasks on which forgetting shows: accuracies, held-out text, and tasks of lm-evaluation-harness."""
    return language_columns(recipe, scores, recipe.languages.source)


def into_target_columns(recipe: Recipe, scores: Scores, target: str) -> list[Column]:
    """Return the translation cells whose direction leads from the source language into a target."""
    return _columns_of_directions(recipe, scores, [f"{recipe.languages.source}-{target}"])


def from_target_columns(recipe: Recipe, scores: Scores, target: str) -> list[Column]:
    """Return the translation cells whose direction leads out of a target into the source language."""
    return _columns_of_directions(recipe, scores, [f"{target}-{recipe.languages.source}"])


def both_directions_columns(recipe: Recipe, scores: Scores, target: str) -> list[Column]:
    """Return the translation cells between the source language and a target."""
    source = recipe.languages.source
    return _columns_of_directions(recipe, scores, [f"{source}-{target}", f"{target}-{source}"])


def _columns_of_directions(recipe: Recipe, scores: Scores, directions: Sequence[str]) -> list[Column]:
    cells = [direction.replace("-", "_") for direction in directions]
    return [
        column
        for label in paper_translations(recipe)
        for column in translation_columns(recipe, scores, label, "bleu")
        if column.task.startswith(tuple(f"{label}_{cell}_" for cell in cells))
    ]


def measures_of(recipe: Recipe, scores: Scores, target: str) -> list[Column]:
    """Return all on which a gain or a loss in a target language shows."""
    return [*both_directions_columns(recipe, scores, target), *language_columns(recipe, scores, target)]


def change_of(changes: Table | None, system: str) -> dict[tuple[str, str], tuple[Column, TableCell]]:
    """Return a system's differences to the reference, by task and metric; none without a table of them."""
    row = next((row for row in changes.rows if row.system == system), None) if changes else None
    if changes is None or row is None:
        return {}
    return {(c.task, c.metric): (c, cell) for c, cell in zip(changes.columns, row.cells, strict=True)}


def of_adapted(recipe: Recipe, changes: Table | None) -> Table | None:
    """Return the changes of the adapted systems: what the reference was made from gained and lost nothing by it."""
    rows = tuple(row for row in changes.rows if row.system in recipe.adapted_systems) if changes else ()
    return replace(changes, rows=rows) if changes and rows else None


def says_nothing(column: Column, value: float) -> bool:
    """Return whether a score is of answers that translate nothing."""
    return column.metric == "bleu" and value < 1


def change_table(recipe: Recipe, evidence: Evidence) -> Table | None:
    """Return every system minus the reference system, with paired intervals; None without a reference.

    Below 1 BLEU nothing is translated: a difference of two such scores has no interval, and is marked as nothing.
    """
    table = _differences(recipe, evidence)
    if table is None:
        return None

    def is_nothing(system: str, column: Column) -> bool:
        pair = (system, recipe.evaluate.reference_system)
        scores = [evidence.scores.get((one, column.task, column.metric)) for one in pair]
        return all(score is not None and says_nothing(column, score.value) for score in scores)

    rows = tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, low=None, high=None) if is_nothing(row.system, column) else cell
                for column, cell in zip(table.columns, row.cells, strict=True)
            ),
        )
        for row in table.rows
    )
    left_out = ("No interval is given where neither system reaches 1 BLEU: nothing is translated there.",)
    return replace(table, rows=rows, notes=table.notes + left_out * (rows != table.rows))


def _differences(recipe: Recipe, evidence: Evidence) -> Table | None:
    reference, scores = recipe.evaluate.reference_system, evidence.scores
    columns = _columns_of_changes(recipe, scores)
    rows = tuple(
        TableRow(
            system,
            label_of(recipe, system),
            tuple(_change(evidence, (system, reference), column) for column in columns),
        )
        for system in recipe.systems
        if system != reference and any(key[0] == system for key in scores)
    )
    if not rows or not columns or not any(key[0] == reference for key in scores):
        return None
    name = label_of(recipe, reference)
    return Table(
        name="",
        title=f"Gains and forgetting: change from {name}",
        columns=tuple(replace(column, signed=True, chance=None) for column in columns),
        rows=rows,
        notes=(
            "The range is the 95 % interval of the difference over the same items: Agresti and Min's for accuracies "
            "and pass rates, the paired bootstrap for the others. ▲ is better, ▼ is worse: the interval leaves out "
            f"zero, and the test against {name} of the tables of scores has p < 0.05 after Holm's correction.",
        ),
    )


def _columns_of_changes(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return the columns of gain and forgetting: accuracies, translation into a target, then all other measures.

    Those of several targets stand in a group for each language, the source first.
    """
    if len(recipe.languages.targets) == 1:
        (target,) = recipe.languages.targets
        accuracies = [*source_columns(recipe, scores), *target_columns(recipe, scores, target)]
        others = [*known_columns(recipe, scores), *language_columns(recipe, scores, target)]
        translations = both_directions_columns(recipe, scores, target)
        return [*accuracies, *translations, *(one for one in others if one.metric != "acc")]
    return [
        in_group(column, code)
        for code in recipe.languages.codes
        for column in [*language_columns(recipe, scores, code), *both_directions_columns(recipe, scores, code)]
    ]


def figure_points(recipe: Recipe, scores: Scores) -> list[Change]:
    """Return every adapted system's place in the figure; systems that miss a score of it are left out."""
    reference = recipe.evaluate.reference_system
    groups = [
        columns(recipe, scores, target)
        for target in recipe.languages.targets
        for columns in (into_target_columns, target_columns)
    ]
    points = []
    for system in recipe.adapted_systems:
        source = _mean_change(scores, system, reference, source_columns(recipe, scores))
        gains = tuple(_mean_change(scores, system, reference, group) for group in groups)
        if source is not None:
            points.append(Change(system, label_of(recipe, system), source, gains))
    return points


def difference_interval(won: int, lost: int, num_items: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies over the same items.

    It is Agresti and Min's (2005): half an item is added to each cell of the 2 x 2 table, so that two systems that
    agree on all of a few items are not called equal for certain.

    Args:
        won: items that the first system alone got right.
        lost: items that the second alone got right.
        num_items: all of them.
    """
    n = num_items + 2
    middle = (won - lost) / n
    half = _NORMAL_97_5 * math.sqrt((won + lost + 1) / n**2 - middle**2 / n)
    return max(-1.0, middle - half), min(1.0, middle + half)


def _change(evidence: Evidence, systems: tuple[str, str], column: Column) -> TableCell:
    difference = evidence.difference(systems, column.task, column.metric)
    if difference is None:
        return TableCell()
    return TableCell(difference, *(_bounds(evidence, systems, column) or (None, None)))


def _bounds(evidence: Evidence, systems: tuple[str, str], column: Column) -> tuple[float, float] | None:
    """Return the interval that goes with the test: by counts, where the metric is the share of right answers.

    The accuracy of a group of tasks may be the mean of theirs, and is then no such share.
    """
    if column.metric in SHARES_OF_CORRECT:
        counts = evidence.won_and_lost(systems, column.task, column.metric)
        if counts:
            return difference_interval(*counts)
    resampled = evidence.resampled(systems, column.task, column.metric)
    return paired_interval(*resampled) if resampled else None


def _mean_change(scores: Scores, system: str, reference: str, columns: Sequence[Column]) -> float | None:
    differences = []
    for column in columns:
        ours = scores.get((system, column.task, column.metric))
        theirs = scores.get((reference, column.task, column.metric))
        if ours is None or theirs is None:
            return None
        differences.append((ours.value - theirs.value) * 100 / column.top)
    return sum(differences) / len(differences) if differences else None
