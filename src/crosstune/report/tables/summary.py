"""The whole report in three sentences for each target language: the gain, what was forgotten, what still fails."""

from collections.abc import Sequence

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import into_target_columns, known_columns, target_columns
from crosstune.report.tables.failures import CellFailures


def summary(
    recipe: Recipe, scores: Scores, tables: Sequence[Table], changes: Table | None, failed: Sequence[CellFailures]
) -> tuple[str, ...]:
    """Return a sentence on the best system's gain, one on what it forgot, one on how its answers fail.

    The best system is the one of the first column of translation into the target language or, without one, of the
    first task in it. Each sentence stands only where its numbers are there. Of several targets, each has its sentences;
    what a system forgot is said once.
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
    wanted = [*into_target_columns(recipe, scores, target), *target_columns(recipe, scores, target)]
    found = next(
        (
            (column, table, index)
            for task in (column.task for column in wanted)
            for table in tables
            for index, column in enumerate(table.columns)
            if column.task == task
        ),
        None,
    )
    if found is None:
        return ()
    column, table, index = found
    adapted = recipe.evaluate.reference_system
    best = next((row for row in table.rows if row.cells[index].is_best and row.system != adapted), None)
    if best is None:
        return (f"No adapted system is above {label_of(recipe, adapted)} at {column.name}.",)
    change = _change(changes, best.system)
    sentences = (
        _won(recipe, (table, index), best, change),
        _forgotten(recipe, scores, best, change),
        _fails(column, best, failed),
    )
    return tuple(sentence for sentence in sentences if sentence)


Changed = dict[tuple[str, str], tuple[Column, TableCell]]
"""A system's differences to the reference, by task and metric."""


def _change(changes: Table | None, system: str) -> Changed:
    row = next((row for row in changes.rows if row.system == system), None) if changes else None
    if changes is None or row is None:
        return {}
    return {(c.task, c.metric): (c, cell) for c, cell in zip(changes.columns, row.cells, strict=True)}


def _won(recipe: Recipe, place: tuple[Table, int], best: TableRow, change: Changed) -> str:
    table, index = place
    column = table.columns[index]
    reference = next((row for row in table.rows if row.system == recipe.evaluate.reference_system), None)
    metric = column.detail.partition(",")[0]
    at = f", where {reference.label} has {column.text(reference.cells[index].value)}" if reference else ""
    difference = change.get((column.task, column.metric))
    gain = f": {_with_interval(*difference)}{_judged(*difference)}" if difference else ""
    return f"{best.label} is best at {column.name}, {metric} {_with_interval(column, best.cells[index])}{at}{gain}."


def _forgotten(recipe: Recipe, scores: Scores, best: TableRow, change: Changed) -> str:
    """Say on which measures the best system lost, or how much it may have lost unseen."""
    known = {(column.task, column.metric) for column in known_columns(recipe, scores)}
    losses = [(c.loss(cell), c, cell) for key, (c, cell) in change.items() if key in known and cell.value is not None]
    tested = [(loss, c, cell) for loss, c, cell in losses if loss is not None]
    if not tested:
        return ""
    name = language_name(recipe.languages.source, "en")
    worse = [(c, cell) for loss, c, cell in tested if loss[0] > 0]
    if worse:
        lost = "; ".join(f"{c.heading} {_with_interval(c, cell)}" for c, cell in worse)
        return f"It forgot some {name}: significant loss on {len(worse)} of {len(tested)} measures: {lost}."
    (_, widest), c, cell = max(tested, key=lambda one: one[0][1])
    rest = f"; the widest interval is {c.heading}, {_with_interval(c, cell)}" if widest > 0 else ""
    return f"No significant loss of {name} on {len(tested)} measure{'s' * (len(tested) > 1)}{rest}."


def _fails(column: Column, best: TableRow, failed: Sequence[CellFailures]) -> str:
    for cell in failed:
        for system, _, n, _, first in cell.rows:
            if cell.task == column.task and system == best.system and n:
                count = sum(first.values())
                kinds = ", ".join(
                    f"{name} {first[name]:,}" for name in sorted(first, key=lambda name: -first[name])[:3]
                )
                how = f": {kinds}" if count else ""
                return f"Of its {n:,} answers at {column.name}, {count:,} failed ({100 * count / n:.1f} %){how}."
    return ""


def _judged(column: Column, cell: TableCell) -> str:
    is_judged = cell.is_tested and cell.low is not None and cell.high is not None
    return ", not significant" if is_judged and not column.judgement(cell) else ""


def _with_interval(column: Column, cell: TableCell) -> str:
    if cell.low is None or cell.high is None:
        return column.text(cell.value)
    return f"{column.text(cell.value)} [{column.text(cell.low)}, {column.text(cell.high)}]"
