"""Spreadsheets (xlsx) such as AI-Hub's: the first sheet, a header row, one row per pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from crosstune.data.readers import sheet_parts
from crosstune.data.readers.archives import Member
from crosstune.data.readers.records import Cells, Records
from crosstune.data.readers.tables import Columns, read_table
from crosstune.data.readers.unpack import read_bytes
from crosstune.errors import BadInputError

_MOST_DIGITS = 10**15


@dataclass(frozen=True)
class Uncomputed:
    """A formula that no program has computed, as libraries write them: it has no value."""

    formula: str
    problem: str = "is a formula without a value; open the file in a spreadsheet program and save it"

    def __str__(self) -> str:
        return self.formula


def xlsx(path: Path, columns: Columns, name: str, packed: Member | None = None) -> Records:
    """Yield the rows of the first sheet of a file, or of one in an archive.

    Raises:
        BadInputError: when it is no spreadsheet, its header has merged cells or lacks a column, or it is a bomb.
    """
    content = BytesIO(read_bytes(path, packed)) if packed else None
    formulas = sheet_parts.check(path, content)
    # Imported here: a run without spreadsheets does not wait for the library.
    from python_calamine import CalamineError, CalamineWorkbook

    if content:
        content.seek(0)
    try:
        book = CalamineWorkbook.from_filelike(content) if content else CalamineWorkbook.from_path(str(path))
        sheet = book.get_sheet_by_index(0)
    except (CalamineError, OSError, ValueError) as error:
        raise BadInputError(
            f"{path} is not a readable spreadsheet ({error}). Open it and save it as .xlsx, or export it as "
            f"tab-separated "
            "text in UTF-8"
        ) from None
    if sheet.start is None:
        raise BadInputError(f"{path}: its first sheet {sheet.name!r} is empty. Put the rows on the first sheet")
    first_row = sheet.start[0]
    merged = sorted(area for area in sheet.merged_cell_ranges or [] if area[0][0] <= first_row)
    if merged:
        raise BadInputError(
            f"{path}: the header in row {first_row + 1} has merged cells ({', '.join(map(_area_name, merged))}), so "
            "its columns cannot be told apart. Undo the merging and name each column in one row"
        )
    return read_table(_rows(sheet, formulas), columns, str(path), name)


def _rows(sheet: Any, formulas: sheet_parts.Formulas) -> Iterator[Cells]:
    top, left = sheet.start
    by_row: dict[int, list[tuple[int, str]]] = {}
    for (row, column), formula in formulas.items():
        by_row.setdefault(row, []).append((column - left - 1, formula))
    number = top
    for number, cells in enumerate(sheet.to_python(), start=top + 1):
        yield _row(number, [*map(_as_text, cells)], by_row.get(number, ()))
    # Rows of nothing but formulas at the end: the library does not see them.
    for row in sorted(row for row in by_row if row > number):
        yield _row(row, [], by_row[row])


def _row(number: int, cells: list[Any], formulas: Sequence[tuple[int, str]]) -> Cells:
    for place, formula in formulas:
        if place >= 0:
            cells += [""] * (place + 1 - len(cells))
            cells[place] = Uncomputed(formula)
    raw = "\t".join("" if cell is None else str(cell) for cell in cells)
    return Cells(number, cells, raw)


def _as_text(cell: Any) -> Any:
    """Return a whole number, which a program made of a text such as 2021, as that text; any other cell as it is."""
    # Beyond fifteen digits a spreadsheet keeps zeros: such a number is not what was typed.
    is_whole = (
        isinstance(cell, int | float)
        and not isinstance(cell, bool)
        and abs(cell) < _MOST_DIGITS
        and float(cell).is_integer()
    )
    return str(int(cell)) if is_whole else cell


def _area_name(area: Any) -> str:
    (top, left), (bottom, right) = area
    return f"{_letters(left)}{top + 1}:{_letters(right)}{bottom + 1}"


def _letters(column: int) -> str:
    return (_letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)
