"""Tables with a header: tab-separated, comma-separated, and, through ``read_table``, spreadsheets."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError


class Columns(NamedTuple):
    """The columns that a source needs.

    Attributes:
        names: for each field of a row, the headers that name its column, in lower case.
        optional: the fields that a table may lack.
        may_lack_header: whether a table without header is read by position, in the order of ``names``.
    """

    names: Mapping[str, frozenset[str]]
    optional: frozenset[str] = frozenset()
    may_lack_header: bool = False

    @property
    def required(self) -> list[str]:
        """Return the fields that a table must have."""
        return [field for field in self.names if field not in self.optional]


class Cells(NamedTuple):
    """A row of a table; ``problem`` says why its cells cannot be told apart, if so."""

    number: int
    cells: Sequence[Any]
    problem: str = ""


def tsv(file: TextFile, columns: Columns) -> Records:
    """Yield the rows of tab-separated columns; quotes mean nothing."""
    lines = (Cells(number, text.split("\t"), problem) for number, text, problem in file.lines())
    return read_table(lines, columns, f"{file.path}", file.name)


def comma_separated(file: TextFile, columns: Columns) -> Records:
    """Yield the rows of comma-separated columns; quoted cells may hold commas and line ends."""
    return read_table(_csv_rows(file), columns, f"{file.path}", file.name)


def _csv_rows(file: TextFile) -> Iterator[Cells]:
    problems: list[str] = []

    def lines() -> Iterator[str]:
        for _, text, problem in file.lines():
            if problem:
                problems.append(problem)
            yield text + "\n"

    reader = csv.reader(lines(), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"not valid CSV ({error}); a quoted cell ends with a quote, quotes inside it are doubled")
            cells = []
        yield Cells(number, cells, problems[0] if problems else "")
        problems.clear()


def read_table(rows: Iterable[Cells], columns: Columns, path: str, name: str) -> Records:
    """Yield each row as a mapping of the fields to their cells; blank rows are passed over.

    Raises:
        BadInputError: when the header lacks a column or names one twice.
    """
    places: dict[str, int] | None = None
    for number, cells, problem in rows:
        if problem:
            yield Record(f"{name}:{number}", cells, problem)
            continue
        if all(cell is None or not str(cell).strip() for cell in cells):
            continue
        if places is None:
            places, is_header = _places(cells, columns, path)
            if is_header:
                continue
        if len(cells) <= max(places.values()):
            needed = f"{len(cells)} columns; needed: {max(places.values()) + 1}"
            yield Record(f"{name}:{number}", "\t".join(map(str, cells)), needed)
        else:
            yield Record(f"{name}:{number}", {field: cells[place] for field, place in places.items()})


def _places(cells: Sequence[Any], columns: Columns, path: str) -> tuple[dict[str, int], bool]:
    """Return where each field's column is, and whether these cells are a header."""
    header = [str(cell).strip().strip('"').lower() for cell in cells]
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
    if not missing:
        return {field: found[0] for field, found in matches.items() if found}, True
    if columns.may_lack_header and len(missing) == len(fields) and len(header) >= len(fields):
        return {field: place for place, field in enumerate(fields)}, False
    by_position = (
        f", or give a file without a header whose first {len(fields)} columns are {' and '.join(fields)}"
        if columns.may_lack_header
        else ""
    )
    raise BadInputError(
        f"{path}: the table needs the columns {' and '.join(fields)}, but its first row holds no "
        f"{' and no '.join(missing)}: {shown}. Name the columns in the first row or in `columns`{by_position}"
    )
