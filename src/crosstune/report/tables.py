"""The tables of a report: which columns a recipe's tasks give, and every system's cell in them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from crosstune.prompts import language_names
from crosstune.recipe import Recipe
from crosstune.report import paper
from crosstune.report.scores import Score, Scores

MISSING = "–"
TITLES = {
    "hellaswag": "HellaSwag",
    "copa_2011_test": "COPA",
    "copa_superglue_val": "COPA (SuperGLUE)",
    "nsmc_generate": "NSMC, generated",
    "nsmc_likelihood": "NSMC, likelier word",
    "kobest_boolq": "KoBEST BoolQ",
    "kobest_copa": "KoBEST COPA",
    "kobest_hellaswag": "KoBEST HellaSwag",
    "kobest_sentineg": "KoBEST SentiNeg",
}
CHANCE = dict.fromkeys(TITLES, 0.5) | {"hellaswag": 0.25, "kobest_hellaswag": 0.25}
METRIC_TITLES = {
    "acc": "accuracy",
    "acc_norm": "accuracy, length-normalised",
    "f1": "F1",
    "answered": "answered",
    "both_keywords": "both words in the answer",
    "acc_answered": "accuracy where answered",
    "bleu": "BLEU",
    "chrf++": "chrF++",
    **{
        f"{metric}_{name}": f"{title}, {name} of the unseen instructions"
        for metric, title in (("bleu", "BLEU"), ("chrf++", "chrF++"))
        for name in ("mean", "worst")
    },
}
# Tables hold BLEU and chrF++ of translations; the rest, and each wording's own scores, are in the files of scores.
_FILES_ONLY = re.compile(r"(bleu_char|ter|comet)(_mean|_worst)?")
_WORDING = re.compile(r"_w\d\d$")
LESS_IS_BETTER = ("both_keywords",)


@dataclass(frozen=True)
class Column:
    """One task and metric.

    Attributes:
        group: what stands above several columns, such as the instruction's language.
        detail: what stands below the heading: metric, items, chance.
        top: the upper end of the scale, 1 or 100.
        chance: what guessing gives.
        majority: what the most frequent answer gives.
        signed: the cells are differences.
        paper_decimals: of the paper's figures.
        paper: gives the paper's figure for one of its systems.
    """

    task: str
    metric: str
    heading: str
    group: str = ""
    detail: str = ""
    top: float = 1.0
    chance: float | None = None
    majority: float | None = None
    signed: bool = False
    paper_decimals: int = 2
    paper: Callable[[str | None], float | None] = lambda paper_system: None

    @property
    def name(self) -> str:
        """Return the heading on one line."""
        return f"{self.heading}, {self.group}" if self.group else self.heading

    @property
    def levels(self) -> str:
        """Return what needs no model: guessing, and always giving the most frequent answer."""
        levels = (("guessing", self.chance), ("majority", self.majority))
        return ", ".join(f"{name} {level:.2f}" for name, level in levels if level is not None)

    def text(self, value: float | None) -> str:
        """Return a number as tables print it: three decimals of an accuracy, one of BLEU, a true minus sign."""
        if value is None:
            return MISSING
        decimals = 1 if self.top == 100 else 3
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        rounded = round(value, decimals) + 0.0
        return f"{rounded:{'+' if self.signed and rounded else ''}.{decimals}f}".replace("-", "−")

    def paper_text(self, figure: float | None) -> str:
        """Return the paper's figure as precisely as the paper prints it."""
        return MISSING if figure is None else f"{figure:.{self.paper_decimals}f}"

    def marks(self, cell: "Cell") -> str:
        """Return a cell's marks; of a difference, first an arrow when its interval leaves out zero."""
        arrow = ""
        if self.signed and cell.low is not None and cell.high is not None and not cell.low <= 0 <= cell.high:
            arrow = "▲" if cell.low > 0 else "▼"
        return f" {arrow}{cell.marks}" if arrow or cell.marks else ""


@dataclass(frozen=True)
class Cell:
    """One number with its interval or its spread over seeds.

    Attributes:
        is_best: of its column.
        marks: what a legend below the table explains.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    is_best: bool = False
    spread: float | None = None
    marks: str = ""


@dataclass(frozen=True)
class Row:
    """One system's cells, and the paper's figures for it where it has some."""

    system: str
    label: str
    cells: tuple[Cell, ...]
    paper_label: str = ""
    paper: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table as every output shows it: terminal, Markdown, HTML.

    Attributes:
        stamp: what a reader must know before any of its numbers.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sentence: str = ""
    notes: tuple[str, ...] = ()
    rows_are: str = "system"
    stamp: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return headings over neighbouring columns with the number of columns; none if no column has one."""
        groups = [(group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)]
        return groups if any(group for group, _ in groups) else []


def label_of(recipe: Recipe, system: str) -> str:
    """Return how tables call a system."""
    return recipe.systems[system].label or system


def paper_tables(recipe: Recipe, scores: Scores) -> list[Table]:
    """Return the paper's Table 3 and, per translation task, its Table 4; none whose tasks the recipe lacks."""
    tables = []
    columns = [
        column for kind in ("hellaswag", "copa_", "nsmc_generate") for column in columns_of(recipe, scores, kind)
    ]
    if columns:
        tables.append(build_table(recipe, scores, "Table 3", "Accuracy on English and Korean tasks", columns))
    labels = paper_translations(recipe)
    for label in labels:
        which = f" ({label})" if len(labels) > 1 else ""
        columns = translation_columns(recipe, scores, label, "bleu")
        tables.append(build_table(recipe, scores, f"Table 4{which}", "Translation, BLEU", columns))
    return tables


def further_tables(recipe: Recipe, scores: Scores) -> list[Table]:
    """Return tables of every score that the paper's tables do not hold."""
    shown = {(column.task, column.metric) for table in paper_tables(recipe, scores) for column in table.columns}
    rest = [pair for pair in _pairs(scores) if pair not in shown and not _is_for_files_only(*pair)]
    cells = {(column.task, column.metric): column for column in _all_translation_columns(recipe, scores, rest)}
    places = {pair: place for place, pair in enumerate(cells)}
    groups: dict[str, list[Column]] = {}
    for task, metric in sorted(rest, key=lambda pair: places.get(pair, -1)):
        column = cells.get((task, metric)) or _column(recipe, scores, task, metric)
        groups.setdefault(_group_title(recipe, task, metric), []).append(column)
    return [build_table(recipe, scores, "", title, columns) for title, columns in groups.items()]


def paper_translations(recipe: Recipe) -> list[str]:
    """Return the labels of the translation tasks that ask in the paper's words."""
    tasks = recipe.evaluate.tasks.items()
    return [label for label, task in tasks if task.task == "translation" and task.wordings == "paper"]


def _is_for_files_only(task: str, metric: str) -> bool:
    return bool(_FILES_ONLY.fullmatch(metric) or _WORDING.search(task))


def columns_of(recipe: Recipe, scores: Scores, kind_prefix: str) -> list[Column]:
    """Return the accuracy columns of the recipe's tasks of some kinds, in the recipe's order."""
    tasks = [label for label, task in recipe.evaluate.tasks.items() if task.task.startswith(kind_prefix)]
    return [_column(recipe, scores, label, "acc") for label in tasks]


def translation_columns(recipe: Recipe, scores: Scores, label: str, metric: str) -> list[Column]:
    """Return a translation task's cells in the paper's order: by instruction, into the source language first."""
    task = recipe.evaluate.tasks[label]
    order = recipe.languages.directions[::-1]
    languages = (recipe.languages.source, recipe.languages.target)
    return [
        _translation_column(scores, label, metric, direction, instruction)
        for instruction in sorted(task.instruction_languages, key=languages.index)
        for direction in sorted(task.directions, key=order.index)
    ]


def build_table(recipe: Recipe, scores: Scores, name: str, title: str, columns: Sequence[Column]) -> Table:
    """Fill a table with every system of the recipe; a missing score stays empty."""
    rows = []
    for system, settings in recipe.systems.items():
        cells = tuple(_cell(scores.get((system, column.task, column.metric))) for column in columns)
        figures: tuple[float | None, ...] = tuple(column.paper(settings.paper_system) for column in columns)
        has_figures = recipe.report.paper_figures and any(figure is not None for figure in figures)
        rows.append(
            Row(
                system=system,
                label=label_of(recipe, system),
                cells=cells,
                paper_label=f"paper: {paper.NAMES.get(settings.paper_system or '', '')}" if has_figures else "",
                paper=figures if has_figures else (),
            )
        )
    return mark_best(Table(name, title, tuple(columns), tuple(rows), notes=_notes(columns, rows)))


def mark_best(table: Table) -> Table:
    """Mark the best cell of every column, by the numbers as printed, so that equal prints are equally marked."""
    best: list[str | None] = []
    for index, column in enumerate(table.columns):
        values = [value for row in table.rows if (value := row.cells[index].value) is not None]
        is_ranked = column.metric not in LESS_IS_BETTER and len(values) > 1 and max(values) > min(values)
        best.append(column.text(max(values)) if is_ranked else None)
    rows = tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, is_best=mark is not None and column.text(cell.value) == mark)
                for cell, column, mark in zip(row.cells, table.columns, best, strict=True)
            ),
        )
        for row in table.rows
    )
    return replace(table, rows=rows)


def _notes(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    notes = []
    if any(cell.low is not None for row in rows for cell in row.cells):
        notes.append("The range is the 95 % bootstrap interval over the items; bold is the best of a column.")
    if any(row.paper for row in rows):
        scale = "; it prints BLEU from 0 to 1, which stands here times 100" if columns[0].top == 100 else ""
        notes.append(f"Below a system: the paper's figure for it, LLaMA-2-7B on the paper's own test sets{scale}.")
    return tuple(notes)


def _cell(score: Score | None) -> Cell:
    return Cell() if score is None else Cell(score.value, score.low, score.high)


def _column(recipe: Recipe, scores: Scores, task: str, metric: str) -> Column:
    settings = recipe.evaluate.tasks.get(task)
    kind = settings.task if settings else ""
    is_only_one = sum(other.task == kind for other in recipe.evaluate.tasks.values()) == 1
    title = TITLES.get(kind, task)
    top = 100.0 if metric.startswith(("bleu", "chrf++")) else 1.0
    chance = CHANCE.get(kind) if metric in ("acc", "acc_norm") else None
    return Column(
        task=task,
        metric=metric,
        heading=title if is_only_one or title == task else f"{title} ({task})",
        detail=_detail(METRIC_TITLES.get(metric, metric), _items(scores, task, metric)),
        top=top,
        chance=chance,
        paper=lambda paper_system: paper.accuracy(paper_system, kind) if metric == "acc" else None,
    )


def _translation_column(scores: Scores, label: str, metric: str, direction: str, instruction: str) -> Column:
    source, target = direction.split("-")
    task = f"{label}_{source}_{target}_{instruction}"
    return Column(
        task=task,
        metric=metric,
        heading=f"{source.capitalize()}→{target.capitalize()}",
        group=f"{language_names('en').get(instruction, instruction)} instruction",
        detail=_detail(METRIC_TITLES.get(metric, metric), _items(scores, task, metric)),
        top=100.0 if metric.startswith(("bleu", "chrf++")) else 1.0,
        paper_decimals=1,
        paper=lambda paper_system: paper.bleu(paper_system, direction, instruction) if metric == "bleu" else None,
    )


def _all_translation_columns(recipe: Recipe, scores: Scores, pairs: Iterable[tuple[str, str]]) -> list[Column]:
    metrics = sorted({metric for _, metric in pairs})
    labels = [label for label, task in recipe.evaluate.tasks.items() if task.task == "translation"]
    return [
        column
        for metric in metrics
        for label in labels
        for column in translation_columns(recipe, scores, label, metric)
    ]


def _group_title(recipe: Recipe, task: str, metric: str) -> str:
    kind = recipe.evaluate.tasks[task].task if task in recipe.evaluate.tasks else ""
    if kind.startswith("kobest"):
        return "Korean understanding (KoBEST)"
    if kind == "nsmc_generate":
        return "NSMC: how the question was answered"
    if kind == "nsmc_likelihood":
        return "NSMC: the likelier of the two words"
    if kind == "harness":
        return "Further tasks of lm-evaluation-harness"
    if kind:
        return "English tasks, further metrics"
    return f"Translation, {METRIC_TITLES.get(metric, metric)}"


def _pairs(scores: Scores) -> list[tuple[str, str]]:
    return list(dict.fromkeys((task, metric) for _, task, metric in scores))


def _items(scores: Scores, task: str, metric: str) -> list[int]:
    return sorted({score.n for (_, *pair), score in scores.items() if pair == [task, metric]})


def _detail(metric_title: str, items: list[int]) -> str:
    if not items:
        return metric_title
    count = f"{items[0]:,}" if len(items) == 1 else f"{items[0]:,} to {items[-1]:,}"
    # No-break spaces keep "n = 500" on one line of a narrow heading.
    return f"{metric_title}, n\u00a0=\u00a0{count}"
