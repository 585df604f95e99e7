"""Spreadsheets (xlsx) such as AI-Hub's: the first sheet, a header row, one row per pair."""

import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from crosstune.data.readers.records import Records
from crosstune.data.readers.tables import Cells, Columns, read_table
from crosstune.data.readers.unpack import MAX_RATIO, MIN_BOMB_BYTES
from crosstune.errors import BadInputError

# A sheet is laid out whole in memory, 32 bytes a cell, empty ones too: AI-Hub's have 200,000 rows of up to 9 columns.
MAX_CELLS = 50_000_000
_CELL = re.compile(rb"\br=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")


def xlsx(path: Path, columns: Columns, name: str) -> Records:
    """Yield the rows of the first sheet.

    Raises:
        BadInputError: when it is no spreadsheet, its header has merged cells or lacks a column, or it is a bomb.
    """
    _check_members(path)
    # Imported here: a run without spreadsheets does not need the library.
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise BadInputError(
            f"{path} is a spreadsheet, which needs python-calamine: `pip install 'crosstune[xlsx]'`, or export it as "
            "tab-separated text in UTF-8"
        ) from None
    try:
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    except (CalamineError, OSError, ValueError) as error:
        raise BadInputError(
            f"{path} is no readable spreadsheet ({error}). Open it and save it as .xlsx, or export it as tab-separated "
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
    rows = (Cells(number, cells) for number, cells in enumerate(sheet.to_python(), start=first_row + 1))
    return read_table(rows, columns, str(path), name)


def _area_name(area: Any) -> str:
    (top, left), (bottom, right) = area
    return f"{_letters(left)}{top + 1}:{_letters(right)}{bottom + 1}"


def _letters(column: int) -> str:
    return (_letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)


def _check_members(path: Path) -> None:
    """Refuse what the library would unpack without limit, and what it would pass over."""
    allowed = max(MAX_RATIO * path.stat().st_size, MIN_BOMB_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                # What the file says about its size may be false: read until it ends.
                member.file_size = 2**62
                with archive.open(member) as content:
                    allowed -= _check_member(content, member.filename, allowed, path)
    # RuntimeError: encrypted, or compressed in a way that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise BadInputError(
            f"{path} is no whole spreadsheet (.xlsx): {error}. Copy or download it again, or save it as .xlsx"
        ) from None


def _check_member(content: IO[bytes], name: str, allowed: int, path: Path) -> int:
    """Return the number of bytes of a part of the spreadsheet."""
    num_bytes, last, rest = 0, (0, 0), b""
    while part := content.read(2**20):
        num_bytes += len(part)
        if num_bytes > allowed:
            raise BadInputError(
                f"{path} unpacks to more than {max(MAX_RATIO * path.stat().st_size, MIN_BOMB_BYTES):,} bytes from "
                f"{path.stat().st_size:,}, so it is a damaged file or a bomb. Open it, and save the sheet that is meant"
            )
        if b"<!DOCTYPE" in rest + part:
            raise BadInputError(
                f"{path}: {name} has a DOCTYPE, which may declare entities and which no spreadsheet program writes. "
                "Open it and save it as .xlsx, or export it as tab-separated text in UTF-8"
            )
        if name.startswith("xl/worksheets/"):
            last = _last_cell(rest + part, last)
        rest = part[-20:]
    if last[0] * last[1] > MAX_CELLS:
        raise BadInputError(
            f"{path}: {name} spans {last[0]:,} rows x {last[1]:,} columns; up to {MAX_CELLS:,} cells are read. "
            "Delete the stray cells far out, or export it as tab-separated text in UTF-8"
        )
    return num_bytes


def _last_cell(content: bytes, last: tuple[int, int]) -> tuple[int, int]:
    """Return the largest row and column so far, both counted from 1."""
    row, column = last
    for letters, digits in _CELL.findall(content):
        row = max(row, int(digits))
        number = 0
        for letter in letters:
            number = 26 * number + letter - 64
        column = max(column, number)
    return row, column
