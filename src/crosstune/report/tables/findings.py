"""What the numbers say, in a few sentences computed from them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.scores import Scores, paired_interval
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import (
    change_of,
    from_target_columns,
    into_target_columns,
    known_columns,
    measures_of,
    target_columns,
)
from crosstune.report.tables.significance import Evidence, SignedP, is_beaten, p_values_of


def best_per_column(table: Table, by_pair: SignedP) -> str:
    """Say which system is best in which columns, and which others the test does not tell from it."""
    won: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for index, column in enumerate(table.columns):
        best = [row for row in table.rows if row.cells[index].is_best]
        if best:
            labels = tuple(row.label for row in best)
            won.setdefault(labels, []).append((column.name, _clearance(table, best, index, by_pair)))
    if len(won) == 1 and len(table.columns) > 1:
        [(labels, columns)] = won.items()
        if len(columns) == len(table.columns) and len({clearance for _, clearance in columns}) == 1:
            return f"{_are_best(labels)} in every column{_bracket(columns[0][1])}."
    parts = [
        f"{_are_best(labels)} on {_join([name + _bracket(clearance) for name, clearance in columns])}"
        for labels, columns in won.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


@dataclass(frozen=True)
class FindingGroup:
    """Sentences of what the numbers say, under a few words."""

    title: str
    lines: tuple[str, ...]


def findings(
    recipe: Recipe, evidence: Evidence, tables: Sequence[Table], changes: Table | None, verdict: str
) -> list[FindingGroup]:
    """Return what stands at the top of the page: what was won, what was forgotten, what still breaks.

    ``verdict`` says who forgot more than the recipe allows.
    """
    source = language_name(recipe.languages.source, "en")
    targets = {code: language_name(code, "en") for code in recipe.languages.targets}
    scores = evidence.scores
    found = [(f"Best in {name}", tuple(_won(recipe, scores, tables, changes, code))) for code, name in targets.items()]
    if changes is not None:
        for code, name in targets.items():
            found.append((f"{name} lost", tuple(_lost(recipe, scores, changes, code))))
        found.append((f"{source} forgotten", (*_forgotten(recipe, scores, changes), verdict)))
    found += [(f"Asked in {name}", tuple(_instruction_gaps(recipe, evidence, code))) for code, name in targets.items()]
    written = [FindingGroup(title, tuple(line for line in lines if line)) for title, lines in found]
    return [finding for finding in written if finding.lines]


def _won(recipe: Recipe, scores: Scores, tables: Sequence[Table], changes: Table | None, target: str) -> Iterator[str]:
    """Say who is best at a target language's accuracy tasks and at translating out of it and into it."""
    directions = (into_target_columns(recipe, scores, target), from_target_columns(recipe, scores, target))
    wanted = {column.task for columns in directions for column in columns[:1]}
    wanted |= {column.task for column in target_columns(recipe, scores, target)}
    for table in tables:
        for index, column in enumerate(table.columns):
            if column.task in wanted:
                yield _best_against_reference(recipe, table, index, changes)


def _best_against_reference(recipe: Recipe, table: Table, index: int, changes: Table | None) -> str:
    column = table.columns[index]
    best = [row for row in table.rows if row.cells[index].is_best]
    values = [value for row in table.rows if (value := row.cells[index].value) is not None]
    if not best:
        is_nothing = column.floor is not None and values and max(values) <= column.floor
        return f"{column.name}: no system is above {column.floor_text}." if is_nothing else ""
    reference = next(row for row in table.rows if row.system == recipe.evaluate.reference_system)
    at = column.text(reference.cells[index].value)
    if reference in best:
        return f"{column.name}: no adapted system is above {reference.label} ({at})."
    change = change_of(changes, best[0].system).get((column.task, column.metric))
    is_alike = change is not None and change[1].low is not None and not change[0].judgement(change[1])
    doubt = f", not distinguishable from {reference.label}" if is_alike and len(best) == 1 else ""
    chance = f", guessing gives {column.chance:.2f}" if column.chance else ""
    return (
        f"{column.name}: {_join([row.label for row in best])}, {column.measure} "
        f"{_with_interval(column, best[0].cells[index])}{doubt}; {reference.label} has {at}{chance}."
    )


def _lost(recipe: Recipe, scores: Scores, changes: Table, target: str) -> Iterator[str]:
    """Say which adapted systems are worse than the reference on a measure of a target language."""
    measures = {(column.task, column.metric) for column in measures_of(recipe, scores, target)}
    lost = [
        f"{row.label} ({'; '.join(worse)})"
        for row in _adapted(recipe, changes)
        if (worse := [_told(c, cell) for c, cell in _worse(changes, row) if (c.task, c.metric) in measures])
    ]
    if lost:
        yield f"Significant loss: {'; '.join(lost)}."


def _adapted(recipe: Recipe, changes: Table) -> list[TableRow]:
    return [row for row in changes.rows if row.system in recipe.adapted_systems]


def _worse(changes: Table, row: TableRow) -> list[tuple[Column, TableCell]]:
    cells = zip(changes.columns, row.cells, strict=True)
    return [(column, cell) for column, cell in cells if column.judgement(cell) == "worse"]


def _told(column: Column, cell: TableCell) -> str:
    return f"{column.name} {column.text(cell.value)}{column.unit}"


def _forgotten(recipe: Recipe, scores: Scores, changes: Table) -> Iterator[str]:
    """Say which adapted systems are worse than the reference on a source-language task, by the test."""
    known = {column.task for column in known_columns(recipe, scores)}
    lost, kept, unknown = [], [], []
    for row in _adapted(recipe, changes):
        cells = [(c, cell) for c, cell in zip(changes.columns, row.cells, strict=True) if c.task in known]
        worse = [_told(c, cell) for c, cell in _worse(changes, row) if c.task in known]
        missing = [c.heading for c, cell in cells if c.loss(cell) is None]
        if worse:
            lost.append(f"{row.label} ({'; '.join(worse)})")
        elif cells and not missing:
            kept.append(row.label)
        if missing:
            unknown.append(f"{row.label} ({', '.join(missing)})")
    # Semicolons, because labels contain commas.
    if lost:
        yield f"Significant loss: {'; '.join(lost)}."
    if kept:
        against = label_of(recipe, recipe.evaluate.reference_system)
        yield f"No significant loss against {against}: {'; '.join(kept)}."
    if unknown:
        yield f"Not compared (no scores on the same items): {'; '.join(unknown)}."


def _instruction_gaps(recipe: Recipe, evidence: Evidence, target: str) -> Iterator[str]:
    """Say how BLEU into a target language changes when the instruction is in that language, too, task by task."""
    by_cell: dict[str, dict[str, Column]] = {}
    for column in into_target_columns(recipe, evidence.scores, target):
        cell, _, instruction = column.task.rpartition("_")
        by_cell.setdefault(cell, {})[instruction] = column
    both = (recipe.languages.source, target)
    asked = {cell: columns for cell, columns in by_cell.items() if {*both} <= columns.keys()}
    for cell, columns in asked.items():
        which = f" ({cell.removesuffix('_'.join(('', *both)))})" if len(asked) > 1 else ""
        yield _instruction_gap(recipe, evidence, (columns[both[0]], columns[both[1]]), which)


def _instruction_gap(recipe: Recipe, evidence: Evidence, columns: tuple[Column, Column], which: str) -> str:
    """Say what each system has when asked in the source language and in the target language."""
    first, second = columns
    gap = replace(first, signed=True)
    parts = []
    for system in recipe.systems:
        keys = [(system, column.task, column.metric) for column in (second, first)]
        values = [score.value for key in keys if (score := evidence.scores.get(key)) is not None]
        # Below 1 BLEU nothing is translated, and a change of nothing says nothing.
        if len(values) == 2 and max(values) >= 1:
            paired = evidence.paired(keys)
            bounds = paired_interval(*paired) if paired else (None, None)
            change = _with_interval(gap, TableCell(values[0] - values[1], *bounds))
            shown = f"{first.text(values[1])} → {second.text(values[0])}, {change}"
            parts.append(f"{shown}, for {label_of(recipe, system)}")
    return f"{first.heading} BLEU{which}, {first.group} → {second.group}: {'; '.join(parts)}." if parts else ""


def _are_best(labels: Sequence[str]) -> str:
    return f"{_join(labels)} {'are' if len(labels) > 1 else 'is'} best"


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _clearance(table: Table, best: Sequence[TableRow], index: int, by_pair: SignedP) -> str:
    """Say by the test, as the marks do, which systems the best ones are better than, and which not."""
    column = table.columns[index]
    others = [row for row in table.rows if row not in best and row.cells[index].value is not None]
    found = [p_values_of(table, row, index, by_pair) for row in best]
    untested = [row.label for row in others if any(math.isinf(one[row.system]) for one in found)]
    tested = [row for row in others if row.label not in untested]
    alike = [row.label for row in tested if not all(is_beaten(one[row.system], column) for one in found)]
    if not tested:
        return ""
    if untested or alike:
        kinds = (("not distinguishable from", alike), ("not tested against", untested))
        return ", ".join(
            f"{how} {labels[0] if len(labels) == 1 else f'{len(labels)} others'}" for how, labels in kinds if labels
        )
    return f"better than {tested[0].label}" if len(tested) == 1 else "better than every other system"


def _bracket(text: str) -> str:
    return f" ({text})" if text else ""


def _with_interval(column: Column, cell: TableCell) -> str:
    if cell.low is None or cell.high is None:
        return column.text(cell.value)
    return f"{column.text(cell.value)} [{column.text(cell.low)}, {column.text(cell.high)}]"
