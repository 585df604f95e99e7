"""The tables of a report: the paper's, and those of every other score, with every system's cell in them."""

import re
from collections.abc import Sequence

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report import paper
from crosstune.report.scores import Scores
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow, mark_best
from crosstune.report.tables.columns import (
    METRIC_TITLES,
    all_translation_columns,
    column_of,
    columns_of_pairs,
    paper_columns,
    paper_translations,
    translation_columns,
)
from crosstune.runs.records import Score

# Tables hold BLEU and chrF++ of translations; the rest, each wording's own scores and those of each rule of
# instructions are in the files of scores.
_FILES_ONLY = re.compile(r"(bleu_char|ter|comet)(_best|_mean|_worst|_worst_to_best)?|kept_.+")
_WORDING = re.compile(r"_w\d\d$")


def label_of(recipe: Recipe, system: str) -> str:
    """Return how tables call a system."""
    return recipe.systems[system].label or system


def names_of(codes: Sequence[str]) -> str:
    """Return the English names of languages as a sentence lists them: English, Korean and Japanese."""
    *names, last = (language_name(code, "en") for code in codes)
    return f"{', '.join(names)} and {last}" if names else last


def paper_tables(recipe: Recipe, scores: Scores) -> list[Table]:
    """Return the paper's Table 3 and, per translation task, its Table 4; none whose tasks the recipe lacks."""
    tables = []
    columns = paper_columns(recipe, scores)
    if columns:
        title = f"Accuracy on {names_of(recipe.languages.codes)} tasks"
        tables.append(build_table(recipe, scores, "Table 3", title, columns))
    labels = paper_translations(recipe)
    if len(recipe.languages.targets) > 1 and labels:
        columns = columns_of_pairs(recipe, scores, labels, "bleu")
        return [*tables, build_table(recipe, scores, "Table 4", "Translation, BLEU", columns)]
    for label in labels:
        which = f" ({label})" if len(labels) > 1 else ""
        columns = translation_columns(recipe, scores, label, "bleu")
        tables.append(build_table(recipe, scores, f"Table 4{which}", "Translation, BLEU", columns))
    return tables


def further_tables(recipe: Recipe, scores: Scores) -> list[Table]:
    """Return tables of every score that the paper's tables do not hold."""
    shown = {(column.task, column.metric) for table in paper_tables(recipe, scores) for column in table.columns}
    rest = [pair for pair in _pairs(scores) if pair not in shown and not _is_for_files_only(*pair)]
    cells = {(column.task, column.metric): column for column in all_translation_columns(recipe, scores, rest)}
    places = {pair: place for place, pair in enumerate(cells)}
    groups: dict[str, list[Column]] = {}
    for task, metric in sorted(rest, key=lambda pair: places.get(pair, -1)):
        column = cells.get((task, metric)) or column_of(recipe, scores, task, metric)
        groups.setdefault(_group_title(recipe, task, metric), []).append(column)
    return [build_table(recipe, scores, "", title, columns) for title, columns in groups.items()]


def _is_for_files_only(task: str, metric: str) -> bool:
    return bool(_FILES_ONLY.fullmatch(metric) or _WORDING.search(task))


def build_table(recipe: Recipe, scores: Scores, name: str, title: str, columns: Sequence[Column]) -> Table:
    """Fill a table with every system of the recipe; a missing score stays empty."""
    rows = []
    for system, settings in recipe.systems.items():
        cells = tuple(_cell(_shown_score(scores, (system, column.task, column.metric))) for column in columns)
        figures: tuple[float | None, ...] = tuple(column.paper(settings.paper_system) for column in columns)
        has_figures = recipe.report.paper_figures and any(figure is not None for figure in figures)
        rows.append(
            TableRow(
                system=system,
                label=label_of(recipe, system),
                cells=cells,
                paper_label=f"paper: {paper.NAMES.get(settings.paper_system or '', '')}" if has_figures else "",
                paper=figures if has_figures else (),
            )
        )
    return mark_best(Table(name, title, tuple(columns), tuple(rows), notes=_notes(columns, rows)))


def _notes(columns: Sequence[Column], rows: Sequence[TableRow]) -> tuple[str, ...]:
    notes = []
    if any(cell.low is not None for row in rows for cell in row.cells):
        notes.append(
            "Ranges are 95 % intervals over the items: Wilson's for shares of items (accuracies), bootstrap for "
            "others. Bold is the best of a column, if above what needs no model."
        )
    if any(row.paper for row in rows):
        scale = "; it prints BLEU from 0 to 1, shown here times 100" if columns[0].top == 100 else ""
        notes.append(f"Below a system: the paper's result for LLaMA-2-7B on its own test sets{scale}.")
    return tuple(notes)


def is_share_of_nothing(metric: str, best: float) -> bool:
    """Return whether a metric is the worst wording as a share of the best, and by that one nothing is translated."""
    return metric == "bleu_worst_to_best" and best < 1


def _shown_score(scores: Scores, key: tuple[str, str, str]) -> Score | None:
    best = scores.get((*key[:2], "bleu_best"))
    return None if best is not None and is_share_of_nothing(key[2], best.value) else scores.get(key)


def _cell(score: Score | None) -> TableCell:
    return TableCell() if score is None else TableCell(score.value, score.low, score.high)


def _group_title(recipe: Recipe, task: str, metric: str) -> str:
    settings = recipe.evaluate.tasks.get(task)
    if settings is None:
        return f"Translation, {METRIC_TITLES.get(metric, metric)}"
    if settings.spec.group:
        return settings.spec.group
    return f"{language_name(settings.items_language or '', 'en')} tasks, further metrics"


def _pairs(scores: Scores) -> list[tuple[str, str]]:
    return list(dict.fromkeys((task, metric) for _, task, metric in scores))
