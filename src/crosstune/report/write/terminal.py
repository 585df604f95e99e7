"""The paper's tables on the terminal: results, so they go to stdout and can be piped."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from crosstune.report.tables.cells import Column, Table, TableCell
from crosstune.report.tables.significance import BEATS_ALL, DIFFERS
from crosstune.terminal.output import results


def print_tables(tables: Sequence[Table], page: Path) -> None:
    """Print the tables and where the report lies."""
    for table in tables:
        for piece in _pieces(_with_metrics(table)):
            results.print()
            results.print(_rich_table(piece))
        if table.stamp:
            results.print(Text(table.stamp, style="bold yellow"))
        legend = [text for text in table.notes if text.startswith((DIFFERS, BEATS_ALL))]
        for text in filter(None, (table.sentence, *_details(table), *legend)):
            results.print(Text(text, style="dim"))
    results.print()
    results.print(Text("The report: ").append(str(page), style="bold"), soft_wrap=True)


def _details(table: Table) -> list[str]:
    """Return what was counted in each column, on how many items, and what needs no model; once where all are alike."""
    details = [", ".join(filter(None, (column.detail, column.levels))) for column in table.columns]
    if len(set(details)) == 1:
        return details[:1]
    return [f"{column.name}: {detail}" for column, detail in zip(table.columns, details, strict=True)]


def _with_metrics(table: Table) -> Table:
    """Return the table with metrics in the headings of columns called alike: accuracy and F1 of a task."""
    names = [column.name for column in table.columns]

    def heading(column: Column) -> str:
        metric = column.detail.partition(", n\u00a0=")[0]
        return f"{column.heading}\n{metric}" if names.count(column.name) > 1 else column.heading

    return replace(table, columns=tuple(replace(column, heading=heading(column)) for column in table.columns))


def _pieces(table: Table) -> Iterator[Table]:
    """Yield the table in pieces of as many columns as fit side by side."""
    first = 0
    for last in range(1, len(table.columns) + 1):
        if last == len(table.columns) or _width(_piece(table, first, last + 1)) > results.width:
            yield _piece(table, first, last)
            first = last


def _width(table: Table) -> int:
    # By itself a measure ends at the terminal's width.
    return results.measure(_rich_table(table), options=results.options.update(max_width=10_000)).maximum


def _piece(table: Table, first: int, last: int) -> Table:
    rows = tuple(replace(row, cells=row.cells[first:last], paper=row.paper[first:last]) for row in table.rows)
    title = f"{table.title}, continued" if first else table.title
    return replace(table, title=title, columns=table.columns[first:last], rows=rows)


def _rich_table(table: Table) -> RichTable:
    drawn = RichTable(
        title=Text(f"{table.name}. {table.title}" if table.name else table.title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    drawn.title_style = "bold"
    drawn.add_column(table.rows_are, justify="left", overflow="fold")
    for column in table.columns:
        heading = Text("\n".join(part for part in (column.group, column.heading) if part))
        drawn.add_column(heading, justify="right", no_wrap=True)
    ranges = [
        [_range(column, cell) for column, cell in zip(table.columns, row.cells, strict=True)] for row in table.rows
    ]
    widths = [max(map(len, of_column)) for of_column in zip(*ranges, strict=True)]
    for row, own in zip(table.rows, ranges, strict=True):
        padded = [text.ljust(width) for text, width in zip(own, widths, strict=True)]
        drawn.add_row(Text(row.label), *map(_cell, table.columns, row.cells, padded))
        if row.paper:
            figures = [column.paper_text(figure) for column, figure in zip(table.columns, row.paper, strict=True)]
            padding = [
                " " * (width + (column.top == 1) + 3) for column, width in zip(table.columns, widths, strict=True)
            ]
            label = Text(f"  {row.paper_label}")
            drawn.add_row(label, *map(str.__add__, figures, padding), style="dim")
    return drawn


def _cell(column: Column, cell: TableCell, behind: str) -> Text:
    value = column.text(cell.value) + (column.marks(cell) if column.signed else "")
    text = Text(value, style="bold" if cell.is_best else "").append(behind, style="dim")
    # Two marks at most: padded, so that numbers stand below one another.
    return text if column.signed else text.append(f"{column.marks(cell):<3}")


def _range(column: Column, cell: TableCell) -> str:
    """Return the spread over seeds or the ends of the interval: near 0 and 1 these are not as far from the value."""
    if cell.spread is not None:
        return f" ± {replace(column, signed=False).text(cell.spread)}"
    if cell.low is None or cell.high is None:
        return ""
    return f" [{column.text(cell.low)}, {column.text(cell.high)}]"
