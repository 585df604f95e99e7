"""The whole report in a few sentences for each target language: gains and losses, what was forgotten, what fails."""

from collections.abc import Sequence

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import (
    change_of,
    into_target_columns,
    known_columns,
    measures_of,
    says_nothing,
    target_columns,
)
from crosstune.report.tables.columns import language_columns
from crosstune.report.tables.failures import CellFailures

_MOST_NAMED = 3
_Place = tuple[Table, int]
_Changed = dict[tuple[str, str], tuple[Column, TableCell]]
"""A system's differences to the reference, by task and metric."""


def summary(
    recipe: Recipe, scores: Scores, tables: Sequence[Table], changes: Table | None, failed: Sequence[CellFailures]
) -> tuple[str, ...]:
    """Return sentences on the leading system: its main number, its gains and losses, what it forgot, how it fails.

    The leading system has the best number in the first column of translation into the target language or, without one,
    of the first task in it: accuracies come before held-out text. A gain or a loss is what the test finds, and a gain
    is above what needs no model. Each sentence stands only where its numbers are there. Of several targets, each has
    its sentences; what a system forgot is said once.
    """
    told: dict[str, None] = {}
    for target in recipe.languages.targets:
        told |= dict.fromkeys(_of_target(recipe, scores, tables, changes, failed, target))
    return tuple(told)


def _of_target(
    recipe: Recipe,
    scores: Scores,
    tables: Sequence[Table],
    changes: Table | None,
    failed: Sequence[CellFailures],
    target: str,
) -> tuple[str, ...]:
    accuracies = target_columns(recipe, scores, target)
    wanted = [*into_target_columns(recipe, scores, target), *accuracies, *language_columns(recipe, scores, target)]
    places = {(c.task, c.metric): (table, index) for table in tables for index, c in enumerate(table.columns)}
    place = next((places[c.task, c.metric] for c in wanted if (c.task, c.metric) in places), None)
    if place is None:
        return ()
    rows = {row.system: value for row in place[0].rows if (value := row.cells[place[1]].value) is not None}
    adapted = [row for row in place[0].rows if row.system in rows and row.system in recipe.adapted_systems]
    if not adapted:
        return ()
    sign = -1 if place[0].columns[place[1]].less_is_better else 1
    best = max(adapted, key=lambda row: sign * rows[row.system])
    change = change_of(changes, best.system)
    keys = [(column.task, column.metric) for column in measures_of(recipe, scores, target)]
    measures = {key: places[key] for key in keys if key in places}
    sentences = (
        _headline(recipe, place, best, change),
        _gains_and_losses(recipe, place, measures, best, change),
        _forgotten(recipe, scores, best, change),
        _fails(place[0].columns[place[1]], best, failed),
    )
    return tuple(sentence for sentence in sentences if sentence)


def _headline(recipe: Recipe, place: _Place, best: TableRow, change: _Changed) -> str:
    """Say the leading system's main number, whether the test finds it different, and whether it needs a model."""
    table, index = place
    column, cell = table.columns[index], best.cells[index]
    reference = _row(table, recipe.evaluate.reference_system)
    theirs = reference.cells[index].value if reference else None
    if reference and theirs is not None and not _is_better(column, cell.value or 0, theirs):
        if column.less_is_better:
            return (
                f"No adapted system is below {reference.label} at {column.name} ({column.measure}{column.direction})."
            )
        return f"No adapted system is above {reference.label} at {column.name}."
    at = f", where {reference.label} has {column.text(theirs)}" if reference else ""
    difference = change.get((column.task, column.metric))
    said = [f": {_with_interval(*difference)}"] if difference else []
    judgement = difference[0].judgement(difference[1]) if difference else ""
    if says_nothing(column, cell.value or 0):
        said.append(": below 1 BLEU nothing is translated")
    elif difference and difference[1].low is None:
        said.append(", not tested")
    elif difference:
        name = label_of(recipe, recipe.evaluate.reference_system)
        meaning = {"": f"not distinguishable from {name}", "better": "significant", "worse": "a significant loss"}
        said.append(f", {meaning[judgement]}")
    if not _is_above_floor(column, cell):
        said.append(f"{' but' if judgement == 'better' else ','} no better than {column.floor_text}")
    value = f"{column.measure} {_with_interval(column, cell)}"
    if column.less_is_better:
        value = f"{_with_interval(column, cell)} {column.measure} (lower is better)"
    return f"{best.label} has {value} at {column.name}{at}{''.join(said)}."


def _is_better(column: Column, ours: float, theirs: float) -> bool:
    return ours < theirs if column.less_is_better else ours > theirs


def _gains_and_losses(
    recipe: Recipe, main: _Place, places: dict[tuple[str, str], _Place], best: TableRow, change: _Changed
) -> str:
    """Name what else the system gained and lost in the target language."""
    found: dict[str, list[str]] = {"better": [], "worse": []}
    for key, (table, index) in places.items():
        ours, theirs = (_row(table, system) for system in (best.system, recipe.evaluate.reference_system))
        if (table, index) == main or key not in change or ours is None or theirs is None:
            continue
        column, signed, cell = table.columns[index], *change[key]
        judgement = signed.judgement(cell)
        if judgement == "worse" or (judgement and _is_above_floor(column, ours.cells[index])):
            both = " → ".join(column.text(row.cells[index].value) for row in (theirs, ours))
            found[judgement].append(f"{column.name} ({column.measure} {both}{column.direction})")
    name = label_of(recipe, recipe.evaluate.reference_system)
    kinds = (("better", found["better"]), ("worse", found["worse"]))
    parts = [f"significantly {kind} than {name} at {_some(names)}" for kind, names in kinds if names]
    return f"{best.label} is {'; it is '.join(parts)}." if parts else ""


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return "; ".join(names[:_MOST_NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def _is_above_floor(column: Column, cell: TableCell) -> bool:
    return column.floor is None or (cell.value is not None and cell.value > column.floor)


def _row(table: Table, system: str) -> TableRow | None:
    return next((row for row in table.rows if row.system == system), None)


def _forgotten(recipe: Recipe, scores: Scores, best: TableRow, change: _Changed) -> str:
    """Say on which measures the leading system lost, or how much it may have lost unseen."""
    known = {(column.task, column.metric) for column in known_columns(recipe, scores)}
    losses = [(c.loss(cell), c, cell) for key, (c, cell) in change.items() if key in known and cell.value is not None]
    tested = [(loss, c, cell) for loss, c, cell in losses if loss is not None]
    if not tested:
        return ""
    name = language_name(recipe.languages.source, "en")
    worse = [(c, cell) for _, c, cell in tested if c.judgement(cell) == "worse"]
    if worse:
        lost = "; ".join(f"{c.heading} {_with_interval(c, cell)}{c.unit}" for c, cell in worse)
        return f"{best.label} forgot some {name}: significant loss on {len(worse)} of {len(tested)} measures: {lost}."
    (_, widest), c, cell = max(tested, key=lambda one: one[0][1])
    rest = f"; the widest interval is {c.heading}, {_with_interval(c, cell)}{c.unit}" if widest > 0 else ""
    return f"{best.label} has no significant loss of {name} on {len(tested)} measure{'s' * (len(tested) > 1)}{rest}."


def _fails(column: Column, best: TableRow, failed: Sequence[CellFailures]) -> str:
    for cell in failed:
        for system, _, n, found, first in cell.rows:
            if cell.task == column.task and system == best.system and n:
                # By its first failure each answer counts once; how it failed is told as in the table of failures.
                count = sum(first.values())
                kinds = ", ".join(
                    f"{name} {found[name]:,}" for name in sorted(found, key=lambda name: -found[name])[:3]
                )
                several = ", some in several ways" if sum(found.values()) > count else ""
                how = f"{several}: {kinds}" if count else ""
                return f"Of its {n:,} answers at {column.name}, {count:,} failed ({100 * count / n:.1f} %){how}."
    return ""


def _with_interval(column: Column, cell: TableCell) -> str:
    if cell.low is None or cell.high is None:
        return column.text(cell.value)
    return f"{column.text(cell.value)} [{column.text(cell.low)}, {column.text(cell.high)}]"
