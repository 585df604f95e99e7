"""The rows of a benchmark's file, whatever it is published in: tables, JSON, Parquet, XML."""

import csv

from crosstune.data.readers.json_files import json_array, json_lines, refuse_page_of_viewer
from crosstune.data.readers.parquet_files import parquet
from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.tables import Columns, comma_separated, published_tsv
from crosstune.data.readers.text_files import TextFile
from crosstune.data.readers.unpack import open_unpacked
from crosstune.data.readers.xml_rows import xml_rows
from crosstune.errors import BadInputError
from crosstune.tasks.layout import NoItem
from crosstune.tasks.task import Task


def benchmark_rows(task: Task, file: TextFile) -> Records:
    """Yield the rows of a file, found out by its content.

    A table whose header holds a tab is tab-separated. Quotes mean nothing in it, unless the task says so: NSMC's
    documents hold quotation marks that a CSV reader would eat, with whole rows.

    Raises:
        BadInputError: when the file is damaged, or a table's header lacks a column of the task's.
    """
    if _is_parquet(file):
        return parquet(file.path, file.name)
    start = file.start.lstrip()
    if start.startswith("<"):
        return xml_rows(file.path, file.name)
    if start.startswith("["):
        return json_array(file)
    refuse_page_of_viewer(file)
    if start.startswith("{") or not start:
        return json_lines(file)
    header = start.partition("\n")[0].rstrip("\r")
    if "\t" in header:
        names = header.split("\t")
        columns = _columns(task, file, names, "tab-separated")
        if not task.has_quoted_cells:
            return published_tsv(file, columns)
        return map(_without_quotes, published_tsv(file, columns, len(names)))
    return comma_separated(file, _columns(task, file, next(csv.reader([header])), "comma-separated"))


def _without_quotes(record: Record) -> Record:
    """Return a row whose quoted cells are what they quote; a cell with quotes that are not paired is no quoted one."""
    if record.problem or not isinstance(record.content, dict):
        return record
    return record._replace(content={column: _unquoted(cell) for column, cell in record.content.items()})


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else cell


def is_plain_text(file: TextFile) -> bool:
    """Return whether a file holds lines of text, neither a table in Parquet nor JSON."""
    return not _is_parquet(file) and not file.start.lstrip().startswith(("{", "["))


def _is_parquet(file: TextFile) -> bool:
    with open_unpacked(file.path) as content:
        return content.read(4) == b"PAR1"


def _columns(task: Task, file: TextFile, header: list[str], kind: str) -> Columns:
    """Return the columns of the published form that a header belongs to."""
    names = [name.strip() for name in header]
    try:
        layout = task.layout_of(names)
    except NoItem:
        forms = "; or ".join(", ".join(layout.columns) for layout in task.layouts)
        known = {column for layout in task.layouts for column in layout.columns}
        first = [column for column in task.layouts[0].columns if column not in names]
        raise BadInputError(
            f"{file.path}: the header needs the columns {forms} ({kind}), but {', '.join(first)} "
            f"is missing; it has {', '.join(filter(None, names)) or 'nothing'}"
            f"{'' if known & {*names} else ', none of them'}. "
            f"Is this a file of {task.name}? Correct `paths` or the header"
        ) from None
    ids = [column for column in layout.ids if column in names]
    return Columns({column: frozenset({column.lower()}) for column in (*layout.columns, *ids)}, frozenset(ids))
