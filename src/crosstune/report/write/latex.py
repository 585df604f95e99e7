"""The report's tables for a paper: LaTeX with booktabs, ``\\input{tables.tex}``."""

from collections.abc import Sequence

from crosstune.report.tables.cells import Column, Table, TableCell, TableRow

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # In the fonts that pdflatex takes by itself, these three print as other signs.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "→": r"$\to$",
    "−": "$-$",
    "–": "--",
    "†": r"\textsuperscript{\textdagger}",
    "‡": r"\textsuperscript{\textdaggerdbl}",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
}


def to_latex(tables: Sequence[Table], command: str) -> str:
    """Return all tables, one ``table`` environment each; they need the package booktabs."""
    needs = "% Needs the package booktabs, and XeLaTeX or LuaLaTeX where labels are not Latin"
    head = f"% Made by: {' '.join(command.split())}\n{needs}"
    return "\n\n".join([head, *(_table(table) for table in tables)]) + "\n"


def _table(table: Table) -> str:
    # LaTeX numbers its tables itself.
    caption = f"{table.title} (the paper's {table.name})" if table.name else table.title
    lines = [
        r"\begin{table}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(' '.join([caption + '.', *filter(None, [table.stamp]), *table.notes]))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        *_groups(table),
        _line("", [escape(column.heading) for column in table.columns]),
        _line("", [rf"\scriptsize {escape(column.detail)}" for column in table.columns]),
        r"\midrule",
    ]
    for row in table.rows:
        lines += _rows(table.columns, row)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _groups(table: Table) -> list[str]:
    """Return the headings over several columns, each with its rule."""
    if not table.groups:
        return []
    cells = [rf"\multicolumn{{{size}}}{{c}}{{{escape(name)}}}" for name, size in table.groups]
    rules, first = "", 2
    for name, size in table.groups:
        rules += rf"\cmidrule(lr){{{first}-{first + size - 1}}}" if name else ""
        first += size
    return [_line("", cells), rules]


def _rows(columns: Sequence[Column], row: TableRow) -> list[str]:
    cells = list(zip(columns, row.cells, strict=True))
    # An empty group before the label: behind a line's end, "[" and "*" would be read as its arguments.
    lines = [_line("{}" + escape(row.label), [_value(column, cell) for column, cell in cells])]
    if any(cell.low is not None for cell in row.cells):
        lines.append(_line("", [_interval(column, cell) for column, cell in cells]))
    if row.paper:
        figures = [column.paper_text(figure) for column, figure in zip(columns, row.paper, strict=True)]
        italic = [rf"\textit{{{escape(text)}}}" for text in (row.paper_label, *figures)]
        lines.append(_line(rf"\quad{italic[0]}", italic[1:]))
    return lines


def _value(column: Column, cell: TableCell) -> str:
    text = escape(column.text(cell.value) + (column.marks(cell) if column.signed else cell.marks))
    return rf"\textbf{{{text}}}" if cell.is_best else text


def _interval(column: Column, cell: TableCell) -> str:
    if cell.low is None or cell.high is None:
        return ""
    return rf"\scriptsize [{escape(column.text(cell.low))}, {escape(column.text(cell.high))}]"


def _line(first: str, cells: Sequence[str]) -> str:
    return " & ".join([first, *cells]) + r" \\"


def escape(text: str) -> str:
    """Return a text in which no character means anything to LaTeX."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))
