"""A table as every output shows it, and its parts: columns, rows, cells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from crosstune.runs.records import over_wordings_of

MISSING = "–"
# Neither more nor less of it is better by itself.
UNRANKED = ("both_keywords",)


@dataclass(frozen=True)
class Column:
    """One task and metric.

    Attributes:
        group: what stands above several columns, such as the instruction's language.
        detail: what stands below the heading: metric, items, chance.
        top: the upper end of the scale, 1 or 100.
        chance: what guessing gives.
        majority: what the most frequent answer gives.
        baseline: what the training rows give without a model, by which method.
        is_scale_known: its scores lie between 0 and `top`, or are bits per byte; False of other numbers beyond 1.
        is_of_same_items: every system's score is of the same items; others are no rank, as the accuracy among the items
            that each answered.
        less_is_better: less of it is better; of a difference, below zero is.
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
    baseline: tuple[str, float] | None = None
    is_scale_known: bool = True
    is_of_same_items: bool = True
    less_is_better: bool = False
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
        # A no-break space: a name and its level stay on one line of a narrow heading.
        return ", ".join(f"{name}\u00a0{level:.2f}" for name, level in levels if level is not None)

    @property
    def floor(self) -> float | None:
        """Return what a score must be above to be the best of anything; None where nothing is known."""
        return max(self._floors.values(), default=None)

    @property
    def floor_text(self) -> str:
        """Return what the floor is, in words."""
        if not self._floors:
            return ""
        name = max(self._floors, key=lambda one: self._floors[one])
        if name == "levels":
            return f"guessing or the most frequent answer ({self.levels})"
        shown = self.text(self._floors[name])
        return f"{shown} BLEU, below which nothing is translated" if name == "nothing" else f"{name} ({shown})"

    @property
    def _floors(self) -> dict[str, float]:
        """Return what needs no model, by what it is; of equal ones the first counts."""
        if self.signed or self.less_is_better:
            return {}
        levels = max((level for level in (self.chance, self.majority) if level is not None), default=None)
        method, reached = self.baseline or ("", None)
        floors = {
            "levels": levels,
            "nothing": 1.0 if over_wordings_of(self.metric) == "bleu" and self.top == 100 else None,
            f"{method} without a model": reached,
        }
        return {name: floor for name, floor in floors.items() if floor is not None}

    @property
    def is_bounded(self) -> bool:
        """Whether its scores lie between 0 and `top`."""
        return self.is_scale_known and self.metric != "bits_per_byte"

    @property
    def is_ranked(self) -> bool:
        """Whether one of its scores may be the best."""
        return self.metric not in UNRANKED and self.is_of_same_items

    @property
    def measure(self) -> str:
        """Return the metric's title."""
        return self.detail.partition(",")[0]

    @property
    def direction(self) -> str:
        """Return what a sentence adds to a number of which less is better; its unit stands before."""
        return ", lower is better" if self.less_is_better else ""

    @property
    def unit(self) -> str:
        """Return what a difference is measured in where its sign alone would mislead."""
        return f" {self.measure}{self.direction}" if self.direction else ""

    def loss(self, cell: "TableCell") -> tuple[float, float] | None:
        """Return the interval of what a difference loses, so that more is worse; None without an interval."""
        if cell.low is None or cell.high is None:
            return None
        return (cell.low, cell.high) if self.less_is_better else (-cell.high, -cell.low)

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

    def judgement(self, cell: "TableCell") -> Literal["", "better", "worse"]:
        """Say whether a difference is one for the better; only of one whose interval leaves out zero."""
        if not self.signed or not cell.is_judged or cell.low is None or cell.high is None:
            return ""
        if cell.low <= 0 <= cell.high:
            return ""
        return "better" if (cell.low > 0) != self.less_is_better else "worse"

    def marks(self, cell: "TableCell") -> str:
        """Return a cell's marks; of a difference, first an arrow: up is better, down is worse, whatever its sign."""
        arrow = {"": "", "better": "▲", "worse": "▼"}[self.judgement(cell)]
        return f" {arrow}{cell.marks}" if arrow or cell.marks else ""


@dataclass(frozen=True)
class TableCell:
    """One number with its interval or its spread over seeds.

    Attributes:
        is_best: of its column.
        marks: what a legend below the table explains.
        is_judged: a difference that the test does not find, or too few seeds stand behind, is shown with its interval,
            but not called better or worse.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    is_best: bool = False
    spread: float | None = None
    marks: str = ""
    is_judged: bool = True


@dataclass(frozen=True)
class TableRow:
    """One system's cells, and the paper's figures for it where it has some."""

    system: str
    label: str
    cells: tuple[TableCell, ...]
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
    rows: tuple[TableRow, ...]
    sentence: str = ""
    notes: tuple[str, ...] = ()
    rows_are: str = "system"
    stamp: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return headings over neighbouring columns with the number of columns; none if no column has one."""
        groups = [(group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)]
        return groups if any(group for group, _ in groups) else []


def mark_best(table: Table) -> Table:
    """Mark the best cell of every column, by the numbers as printed, so that equal prints are equally marked.

    Nothing is the best of a column that is not above its floor: what guessing gives, and what always giving the most
    frequent answer or a method without a model does.
    """
    best: list[str | None] = []
    for index, column in enumerate(table.columns):
        values = [value for row in table.rows if (value := row.cells[index].value) is not None]
        is_ranked = column.is_ranked and len(values) > 1 and max(values) > min(values)
        choose = min if column.less_is_better else max
        is_above = column.floor is None or not values or choose(values) > column.floor
        best.append(column.text(choose(values)) if is_ranked and is_above else None)
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
