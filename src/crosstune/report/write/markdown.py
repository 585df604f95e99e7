"""The report's tables as Markdown."""

from collections.abc import Sequence

from crosstune.report.run_facts import RunFacts
from crosstune.report.tables.cells import MISSING, Column, Table, TableCell, TableRow
from crosstune.report.tables.findings import FindingGroup
from crosstune.terminal.output import shown


def to_markdown(
    heading: tuple[str, str], found: Sequence[FindingGroup], tables: Sequence[Table], failed: str, facts: RunFacts
) -> str:
    """Return the whole of report.md; ``heading`` is title and description, ``failed`` the section on failures."""
    title, description = heading
    parts = [f"# {escape(title)}", escape(description)]
    parts.append("\n".join(f"- **{escape(one.title)}.** {escape(' '.join(one.lines))}" for one in found))
    parts.extend(table_to_markdown(table) for table in tables)
    parts.append(failed)
    parts.append(f"Made by `{facts.command}`" + (f" at commit `{facts.commit}`." if facts.commit else "."))
    return "\n\n".join(part for part in parts if part) + "\n"


def table_to_markdown(table: Table) -> str:
    """Return one table with its heading, sentence and notes."""
    heading = f"## {table.name}: {table.title}" if table.name else f"## {table.title}"
    lines = [
        f"| {table.rows_are} | " + " | ".join(_heading(column) for column in table.columns) + " |",
        "|---|" + "---:|" * len(table.columns),
    ]
    for row in table.rows:
        lines.append(
            _line(escape(row.label), [_cell(c, cell) for c, cell in zip(table.columns, row.cells, strict=True)])
        )
        if row.paper:
            lines.append(_paper_line(table.columns, row))
    stamp = [f"**{escape(table.stamp)}**"] if table.stamp else []
    notes = [escape(text) for text in (table.sentence, *table.notes) if text]
    return "\n\n".join([escape(heading), *stamp, "\n".join(lines), *notes])


def _heading(column: Column) -> str:
    return escape(": ".join((column.name, ", ".join(part for part in (column.detail, column.levels) if part))))


def _paper_line(columns: Sequence[Column], row: TableRow) -> str:
    figures = [column.paper_text(figure) for column, figure in zip(columns, row.paper, strict=True)]
    return _line(f"*{row.paper_label}*", [text if text == MISSING else f"*{text}*" for text in figures])


def _line(label: str, cells: Sequence[str]) -> str:
    return f"| {label} | " + " | ".join(cells) + " |"


def _cell(column: Column, cell: TableCell) -> str:
    value = column.text(cell.value)
    text = f"**{value}**" if cell.is_best else value
    if cell.spread is not None:
        return f"{text} ± {column.text(cell.spread)}"
    if cell.low is None or cell.high is None:
        return text + column.marks(cell)
    return f"{text} [{column.text(cell.low)}, {column.text(cell.high)}]{column.marks(cell)}"


def escape(text: str) -> str:
    """Keep labels and descriptions from being read as Markdown or HTML."""
    for character in "\\`*_|<":
        text = text.replace(character, f"\\{character}")
    # Neither images, which a reader's browser would load, nor links: both need these two signs together.
    text = text.replace("](", "]\\(").replace("][", "]\\[").replace("]:", "]\\:")
    return shown(" ".join(text.split("\n")))
