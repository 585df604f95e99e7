"""What the numbers say, in a few sentences computed from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.scores import Scores, paired_interval
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import from_target_columns, into_target_columns, known_columns, target_columns
from crosstune.report.tables.significance import Evidence


def best_per_column(table: Table) -> str:
    """Say which system is best in which columns, and how many others' intervals overlap with the best's."""
    won: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for index, column in enumerate(table.columns):
        best = [row for row in table.rows if row.cells[index].is_best]
        others = [row for row in table.rows if row not in best]
        if best:
            labels = tuple(row.label for row in best)
            won.setdefault(labels, []).append((column.name, _clearance(best[0].cells[index], others, index)))
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
    found = [(f"Best in {name}", tuple(_won(recipe, scores, tables, code))) for code, name in targets.items()]
    if changes is not None:
        found.append((f"{source} forgotten", (*_forgotten(recipe, scores, changes), verdict)))
    found += [(f"Asked in {name}", (_instruction_gap(recipe, evidence, code),)) for code, name in targets.items()]
    written = [FindingGroup(title, tuple(line for line in lines if line)) for title, lines in found]
    return [finding for finding in written if finding.lines]


def _won(recipe: Recipe, scores: Scores, tables: Sequence[Table], target: str) -> Iterator[str]:
    """Say who is best at a target language's accuracy tasks and at translating out of it and into it."""
    directions = (into_target_columns(recipe, scores, target), from_target_columns(recipe, scores, target))
    wanted = {column.task for columns in directions for column in columns[:1]}
    wanted |= {column.task for column in target_columns(recipe, scores, target)}
    for table in tables:
        for index, column in enumerate(table.columns):
            if column.task in wanted:
                yield _best_against_reference(recipe, table, column, index)


def _best_against_reference(recipe: Recipe, table: Table, column: Column, index: int) -> str:
    best = [row for row in table.rows if row.cells[index].is_best]
    values = [value for row in table.rows if (value := row.cells[index].value) is not None]
    if not best:
        is_nothing = column.floor is not None and values and max(values) <= column.floor
        return f"{column.name}: no system is above {_floor(column)}." if is_nothing else ""
    reference = next(row for row in table.rows if row.system == recipe.evaluate.reference_system)
    at = column.text(reference.cells[index].value)
    if reference in best:
        return f"{column.name}: no adapted system is above {reference.label} ({at})."
    metric = column.detail.partition(",")[0]
    chance = f", guessing gives {column.chance:.2f}" if column.chance else ""
    return (
        f"{column.name}: {_join([row.label for row in best])}, {metric} "
        f"{_with_interval(column, best[0].cells[index])}; {reference.label} has {at}{chance}."
    )


def _floor(column: Column) -> str:
    """Return what a column's floor is, in words."""
    if column.chance is None:
        return f"{column.text(column.floor)} BLEU, below which nothing is translated"
    return "guessing or the most frequent answer" + _bracket(column.levels)


def _forgotten(recipe: Recipe, scores: Scores, changes: Table) -> Iterator[str]:
    """Say which adapted systems are worse than the reference on a source-language task beyond the paired interval."""
    known = {column.task for column in known_columns(recipe, scores)}
    lost, kept, unknown = [], [], []
    for row in changes.rows:
        cells = [(c, cell) for c, cell in zip(changes.columns, row.cells, strict=True) if c.task in known]
        losses = [(c, cell, c.loss(cell)) for c, cell in cells]
        worse = [f"{c.heading} {c.text(cell.value)}" for c, cell, loss in losses if loss and loss[0] > 0]
        missing = [c.heading for c, _, loss in losses if loss is None]
        if worse:
            lost.append(f"{row.label} ({', '.join(worse)})")
        elif cells and not missing:
            kept.append(row.label)
        if missing:
            unknown.append(f"{row.label} ({', '.join(missing)})")
    # Semicolons, because labels contain commas.
    if lost:
        yield f"Measurable loss: {'; '.join(lost)}."
    if kept:
        against = label_of(recipe, recipe.evaluate.reference_system)
        yield f"No measurable loss against {against}: {'; '.join(kept)}."
    if unknown:
        yield f"Not compared (no scores on the same items): {'; '.join(unknown)}."


def _instruction_gap(recipe: Recipe, evidence: Evidence, target: str) -> str:
    """Say how BLEU into a target language changes when the instruction is in that language, too."""
    columns = into_target_columns(recipe, evidence.scores, target)
    by_instruction = {column.task.rsplit("_", 1)[1]: column for column in columns}
    if not {recipe.languages.source, target} <= by_instruction.keys():
        return ""
    first, second = by_instruction[recipe.languages.source], by_instruction[target]
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
    return f"{first.heading} BLEU, {first.group} → {second.group}: {'; '.join(parts)}." if parts else ""


def _are_best(labels: Sequence[str]) -> str:
    return f"{_join(labels)} {'are' if len(labels) > 1 else 'is'} best"


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _clearance(best: TableCell, others: Sequence[TableRow], index: int) -> str:
    cells = [row.cells[index] for row in others if row.cells[index].value is not None]
    if best.low is None or not cells or any(cell.high is None for cell in cells):
        return ""
    overlapping = sum(cell.high is not None and cell.high >= best.low for cell in cells)
    if not overlapping:
        return "clear of all others"
    return f"interval overlaps with {overlapping} other" + ("s" if overlapping > 1 else "")


def _bracket(text: str) -> str:
    return f" ({text})" if text else ""


def _with_interval(column: Column, cell: TableCell) -> str:
    if cell.low is None or cell.high is None:
        return column.text(cell.value)
    return f"{column.text(cell.value)} [{column.text(cell.low)}, {column.text(cell.high)}]"
