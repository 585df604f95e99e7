"""A study's tables, as Markdown and on the terminal: cells down, tasks across."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import is_share_of_nothing, label_of
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow, mark_best
from crosstune.report.tables.changes import source_columns, target_columns
from crosstune.report.tables.columns import text_columns, translation_columns
from crosstune.report.tables.significance import ALPHA, DIFFERS
from crosstune.report.write.markdown import escape, table_to_markdown
from crosstune.report.write.provenance import with_provenance
from crosstune.runs.provenance import public_command
from crosstune.study.comparison import SystemScore
from crosstune.study.differences import MIN_SEEDS, SystemDifference
from crosstune.study.settings import Study

SPREAD_NOTE = "± is the standard deviation over {} seeds; bold is the best of a column."
_OVER_WORDINGS = (
    ("bleu_mean", ", mean of the unseen instructions"),
    ("bleu_worst", ", worst of the unseen instructions"),
    ("bleu_worst_to_best", ", worst of the unseen instructions as a share of their best"),
)
CHANGE_NOTE = (
    "The range is the 95 % t interval of the difference over items and seeds. ▲ is better, ▼ is worse: the "
    "interval leaves out zero; † is a difference with p < 0.05 after Holm's correction over all rows of a column."
)
FEW_SEEDS_NOTE = (
    "The range is the 95 % interval of the difference over {}. Nothing is marked below three seeds: so few runs do not "
    "show how much runs differ."
)


def tables_of(study: Study, recipe: Recipe, scores: Scores, findings: Sequence[SystemScore]) -> list[Table]:
    """Return tables per kind of task: means with their spread, differences to the base model and the reference cell.

    ``scores`` are those of one run, for the tasks that there are.
    """
    tables = []
    for title, of_one_run in _groups(recipe, scores):
        columns = [_over_cells(findings, column) for column in of_one_run]
        rows = [
            TableRow(
                system, _label(study, recipe, cell, system), tuple(_mean(findings, cell, system, c) for c in columns)
            )
            for cell, system in dict.fromkeys((finding.cell, finding.system) for finding in findings)
        ]
        notes = (SPREAD_NOTE.format(len(study.seeds)),) if len(study.seeds) > 1 else ()
        rows_are = "cell" if len(study.cells) > 1 else "system"
        tables.append(mark_best(Table("", title, tuple(columns), tuple(rows), notes=notes, rows_are=rows_are)))
        base = label_of(recipe, recipe.evaluate.reference_system)
        tables.append(_change_table(study, recipe, findings, columns, f"{title}: change against {base}"))
        if len(study.cells) > 1:
            about = f"{title}: change against the cell {study.reference}"
            tables.append(_change_table(study, recipe, findings, columns, about, is_to_base=False))
    return with_provenance(recipe, tables)


def to_markdown(study: Study, tables: Sequence[Table], figures: Mapping[str, str], command: str, commit: str) -> str:
    """Return the study's report; ``figures`` are titles and file names."""
    cells = [
        f"- **{escape(cell)}**: " + ("; ".join(f"`{key}={value}`" for key, value in changes.items()) or "as the recipe")
        for cell, changes in study.cells.items()
    ]
    parts = [f"# {escape(study.name)}", escape(study.description), "\n".join(cells)]
    parts.extend(
        f"## {title}, against what was forgotten\n\n![{title}]({name})\n\n{_read(study)}"
        for title, name in figures.items()
    )
    parts.extend(table_to_markdown(table) for table in tables)
    parts.append(f"Made by `{public_command(command)}`" + (f" at commit `{commit}`." if commit else "."))
    return "\n\n".join(part for part in parts if part) + "\n"


def _read(study: Study) -> str:
    """Return how a figure is read."""
    path = f" A line leads through {', '.join(study.systems)}." if len(study.systems) > 1 else ""
    return (
        "Means over the seeds. To the right of the dotted line a system gained in the language that the model knew, to "
        f"the left it forgot; the higher, the more it gained in the new language.{path}"
    )


def _groups(recipe: Recipe, scores: Scores) -> list[tuple[str, list[Column]]]:
    targets = [column for code in recipe.languages.targets for column in target_columns(recipe, scores, code)]
    accuracy = [*source_columns(recipe, scores), *targets]
    labels = [label for label, task in recipe.evaluate.tasks.items() if task.spec.judge == "translation"]
    groups = [("Accuracy", accuracy)]
    for label in labels:
        is_one = recipe.evaluate.tasks[label].wordings == "paper"
        for metric, which in (("bleu", ""),) if is_one else _OVER_WORDINGS:
            groups.append((f"Translation, BLEU{which} ({label})", translation_columns(recipe, scores, label, metric)))
    groups.append(("Held-out text, bits per byte", text_columns(recipe, scores)))
    return [(title, columns) for title, columns in groups if columns]


def _label(study: Study, recipe: Recipe, cell: str, system: str) -> str:
    if len(study.cells) == 1:
        return label_of(recipe, system)
    if system not in study.systems:
        starts_all = all(_goes_back_to(recipe, other, system) for other in study.systems)
        return label_of(recipe, system) + (", which all start from" if starts_all else ", the reference")
    return cell if len(study.systems) == 1 else f"{cell}: {label_of(recipe, system)}"


def _goes_back_to(recipe: Recipe, system: str, base: str) -> bool:
    """Return whether a system starts from another, at once or through those in between."""
    start = recipe.systems[system].start
    return start == base or (start in recipe.systems and _goes_back_to(recipe, start, base))


def _find(findings: Sequence[SystemScore], cell: str, system: str, column: Column) -> SystemScore | None:
    wanted = (cell, system, column.task, column.metric)
    return next((one for one in findings if (one.cell, one.system, one.task, one.metric) == wanted), None)


def _over_cells(findings: Sequence[SystemScore], column: Column) -> Column:
    """Return a column of one run's scores for those of all cells, which may ask other items."""
    sizes = {one.n for one in findings if (one.task, one.metric) == (column.task, column.metric)}
    return replace(column, is_of_same_items=column.is_of_same_items and len(sizes) < 2)


def _mean(findings: Sequence[SystemScore], cell: str, system: str, column: Column) -> TableCell:
    finding = _find(findings, cell, system, column)
    best = _find(findings, cell, system, replace(column, metric="bleu_best"))
    if finding is None or (best is not None and is_share_of_nothing(column.metric, best.mean)):
        return TableCell()
    return TableCell(finding.mean, spread=finding.sd)


def _change_table(
    study: Study,
    recipe: Recipe,
    findings: Sequence[SystemScore],
    columns: Sequence[Column],
    title: str,
    is_to_base: bool = True,
) -> Table:
    rows = []
    for cell in study.cells:
        for system in study.systems:
            if is_to_base or cell != study.reference:
                found = [_find(findings, cell, system, column) for column in columns]
                cells = [_change((one.to_base if is_to_base else one.to_reference) if one else None) for one in found]
                rows.append(TableRow(system, _label(study, recipe, cell, system), tuple(cells)))
    signed = tuple(replace(column, signed=True, chance=None) for column in columns)
    rows_are = "cell" if len(study.cells) > 1 else "system"
    return Table("", title, signed, tuple(rows), notes=(_change_note(study),), rows_are=rows_are)


def _change_note(study: Study) -> str:
    if len(study.seeds) >= MIN_SEEDS:
        return CHANGE_NOTE
    return FEW_SEEDS_NOTE.format("items and seeds" if len(study.seeds) > 1 else "items alone, of one seed")


def _change(difference: SystemDifference | None) -> TableCell:
    if difference is None:
        return TableCell()
    is_judged = difference.p_holm is not None
    marks = DIFFERS if difference.p_holm is not None and difference.p_holm < ALPHA else ""
    return TableCell(difference.value, difference.low, difference.high, marks=marks, is_judged=is_judged)
