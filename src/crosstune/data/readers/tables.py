"""Tables with a header: tab-separated, comma-separated, and, through ``read_table``, spreadsheets."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from unicodedata import normalize

from crosstune.data.readers.csv_rows import csv_rows
from crosstune.data.readers.records import Cells, Record, Records
from crosstune.data.readers.text_files import Line, TextFile
from crosstune.data.readers.unnamed_columns import places_of_languages
from crosstune.errors import BadInputError

# What is looked at to find the columns of a table without header.
_SAMPLE_ROWS = 200
# Over which a quoted cell is looked for the end of.
_MOST_LINES = 100


class Columns(NamedTuple):
    """The columns that a source needs.

    Attributes:
        names: for each field of a row, the headers that name its column, in lower case.
        optional: the fields that a table may lack.
        may_lack_header: whether a table of two languages without header is read by what its columns hold.
    """

    names: Mapping[str, frozenset[str]]
    optional: frozenset[str] = frozenset()
    may_lack_header: bool = False

    @property
    def required(self) -> list[str]:
        """Return the fields that a table must have."""
        return [field for field in self.names if field not in self.optional]

    @property
    def numbers(self) -> dict[str, int]:
        """Return the places of the fields where all that are needed are named by numbers, which count from 1."""
        titles = {field: next(iter(self.names[field])) for field in self.required if len(self.names[field]) == 1}
        numbers = {field: int(title) - 1 for field, title in titles.items() if title.isdecimal() and int(title) > 0}
        return numbers if len(numbers) == len(self.required) else {}


class _Layout(NamedTuple):
    """Where each field's column is; ``width`` is that of the header, or of most rows where there is none."""

    places: dict[str, int]
    width: int
    has_header: bool


def tsv(file: TextFile, columns: Columns) -> Records:
    """Yield the rows of tab-separated columns; quotes mean nothing, but for cells that a spreadsheet has quoted."""
    lines = (
        Cells(number, [*map(_unquoted, text.split("\t"))], text, problem) for number, text, problem in file.lines()
    )
    return read_table(lines, columns, f"{file.path}", file.name)


def published_tsv(file: TextFile, columns: Columns, quoted_width: int = 0) -> Records:
    """Yield the rows of tab-separated columns as a benchmark's publisher wrote them: quotes are part of their cells.

    With ``quoted_width``, how many columns there are, a quoted cell may hold line ends.
    """
    lines = _whole_rows(file.lines(), quoted_width) if quoted_width else file.lines()
    cells = (Cells(number, text.split("\t"), text, problem) for number, text, problem in lines)
    return read_table(cells, columns, f"{file.path}", file.name)


def _whole_rows(lines: Iterator[Line], width: int) -> Iterator[Line]:
    """Join the lines of a row; one whose open quote makes no whole row of them stays as it is."""
    waiting: deque[Line] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        taken, text = [line], line.text
        while _goes_on(text, width) and len(taken) < _MOST_LINES:
            more = waiting.popleft() if waiting else next(lines, None)
            if more is None:
                break
            taken.append(more)
            text = f"{text}\n{more.text}"
        if text.count("\t") + 1 == width and not _goes_on(text, width):
            yield Line(line.number, text, next((one.problem for one in taken if one.problem), ""))
        else:
            waiting.extendleft(reversed(taken[1:]))
            yield line


def _goes_on(text: str, width: int) -> bool:
    cells = text.split("\t")
    return len(cells) <= width and cells[-1].startswith('"') and cells[-1].count('"') % 2 == 1


def _unquoted(cell: str) -> str:
    """Return a cell without the quotes of a spreadsheet, which doubles those inside it: two signs, never one alone."""
    inside = cell[1:-1]
    is_quoted = '""' in inside and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if is_quoted else cell


def comma_separated(file: TextFile, columns: Columns) -> Records:
    """Yield the rows of comma-separated columns; quoted cells may hold commas and line ends."""
    return read_table(csv_rows(file), columns, f"{file.path}", file.name)


def read_table(rows: Iterable[Cells], columns: Columns, path: str, name: str) -> Records:
    """Yield each row as a mapping of the fields to their cells; blank rows are passed over.

    Raises:
        BadInputError: when the header lacks a column or names one twice, or there is none and the columns cannot be
            told apart.
    """
    layout: _Layout | None = None
    remaining = iter(rows)
    for row in remaining:
        if row.problem:
            yield Record(f"{name}:{row.number}", row.raw, row.problem)
            continue
        if not _width(row.cells):
            continue
        if layout is None:
            sample = list(islice(remaining, _SAMPLE_ROWS))
            remaining_rows = [other.cells for other in sample if not other.problem]
            layout = _layout(row.cells, remaining_rows, columns, path)
            yield from _records([row] if not layout.has_header else [], layout, name)
            yield from _records(chain(sample, remaining), layout, name)
            return


def _records(rows: Iterable[Cells], layout: _Layout, name: str) -> Records:
    last = max(layout.places.values())
    for row in rows:
        origin, cells = f"{name}:{row.number}", row.cells
        width = _width(cells)
        if row.problem:
            yield Record(origin, row.raw, row.problem)
        elif not width:
            continue
        elif width > layout.width:
            where = "the header has" if layout.has_header else "most rows have"
            yield Record(origin, row.raw, f"{width} columns, but {where} {layout.width}: a cell was cut in two")
        elif len(cells) <= last:
            yield Record(origin, row.raw, f"{len(cells)} columns; needed: {last + 1}")
        elif layout.has_header and len(cells) < layout.width:
            yield Record(origin, row.raw, f"{len(cells)} columns, but the header has {layout.width}: one is missing")
        else:
            yield Record(origin, {field: cells[place] for field, place in layout.places.items()})


def _width(cells: Sequence[Any]) -> int:
    """Return how many columns a row has, without empty ones at its end."""
    return next((place for place in range(len(cells), 0, -1) if not _is_blank(cells[place - 1])), 0)


def _is_blank(cell: Any) -> bool:
    return cell is None or not str(cell).strip()


def _layout(cells: Sequence[Any], others: Sequence[Sequence[Any]], columns: Columns, path: str) -> _Layout:
    """Return where each field's column is, and whether these cells are a header."""
    header = [*map(title_of, cells)]
    matches = {
        field: [index for index, title in enumerate(header) if title in titles]
        for field, titles in columns.names.items()
    }
    shown, fields = ", ".join(header)[:300], columns.required
    if all(matches[field] for field in fields) and max(map(len, matches.values())) > 1:
        raise BadInputError(
            f"{path}: the table needs one column each of {' and '.join(fields)}, but its header names one of them "
            f"twice: {shown}. Rename or remove the columns that are not meant, or name them in `columns`"
        )
    missing = [field for field in fields if not matches[field]]
    # Not "eng | Let's go. | vie | Đi thôi.": names that stand in every row are no header.
    repeated = {
        place
        for place in range(len(header))
        if columns.may_lack_header and others and all(_cell(row, place) == header[place] for row in others)
    }
    if not missing and any(found[0] in repeated for field, found in matches.items() if field in fields):
        missing = fields
    if not missing:
        # What stands beyond the last name belongs to no column.
        return _Layout({field: found[0] for field, found in matches.items() if found}, _width(cells), True)
    if len(missing) == len(fields) and columns.numbers:
        return _Layout(columns.numbers, _usual_width([cells, *others]), False)
    if columns.may_lack_header and len(missing) == len(fields) and len(header) >= len(fields):
        places = places_of_languages([cells, *others], fields, path)
        return _Layout(places, _usual_width([cells, *others]), False)
    by_position = (
        f", or give a file without a header whose first {len(fields)} columns are {' and '.join(fields)}"
        if columns.may_lack_header
        else ""
    )
    raise BadInputError(
        f"{path}: the table needs the columns {' and '.join(fields)}, but its first row holds no "
        f"{' and no '.join(missing)}: {shown}. Name the columns in the first row or in `columns`{by_position}"
    )


def _cell(row: Sequence[Any], place: int) -> str:
    return title_of(row[place]) if place < len(row) else ""


def title_of(cell: Any) -> str:
    """Return a cell as the name of a column is compared: macOS may have decomposed it."""
    return normalize("NFC", str(cell).strip().strip('"').lower())


def _usual_width(rows: Sequence[Sequence[Any]]) -> int:
    """Return the width that most rows have; of several, the largest."""
    widths = [width for width in map(_width, rows) if width]
    return max(set(widths), key=lambda width: (widths.count(width), width))
