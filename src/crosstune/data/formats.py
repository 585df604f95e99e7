"""Which format a corpus file has: as the recipe says, or by its first characters."""

import json
import re
from collections.abc import Sequence

from crosstune.data.readers.json_files import refuse_page_of_viewer
from crosstune.data.readers.tables import Columns, title_of
from crosstune.data.readers.text_files import TextFile
from crosstune.data.readers.unpack import open_unpacked
from crosstune.errors import BadInputError

# kind -> the formats that it can be read from.
FORMATS = {
    "parallel": (
        "aihub_json",
        "json",
        "jsonl",
        "tsv",
        "csv",
        "xlsx",
        "po",
        "tmx",
        "aligned_text",
        "parquet",
        "hugging_face",
    ),
    "instructions": ("json", "jsonl", "tsv", "csv", "xlsx", "parquet", "hugging_face"),
    "text": ("text", "jsonl", "tsv", "csv", "xlsx", "parquet", "hugging_face"),
}
_LAYOUTS = {
    "aihub_json": '{"data": [{"en": ..., "ko": ...}]}',
    "json": "[{...}, {...}]",
    "jsonl": "one JSON object per line",
    "tsv": "tab-separated columns",
    "csv": "comma-separated columns with a header",
    "xlsx": "a spreadsheet with a header",
    "po": "a gettext catalogue",
    "tmx": "a translation memory in XML",
    "aligned_text": "two plain-text files with the same number of lines",
    "text": "one document per line",
    "parquet": "columns as in a table",
    "hugging_face": "a data set by name, never found out",
}
_MAGIC = {b"PK\x03\x04": "xlsx", b"PAR1": "parquet"}
_NOT_TEXT = ("xlsx", "parquet", "tmx")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_TABLE_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}
_PACKED = (".gz", ".zst")
_TITLE = re.compile(r'"?[\w.-]{1,40}"?')
_NAME = re.compile(r'"?[A-Za-z_][A-Za-z0-9_.-]{0,39}"?')
_OBJECT = re.compile(r'\{\s*["}]')
_ARRAY = re.compile(r"\[\s*[{\]]")
# Shown whole, so that all columns can be seen: twenty with names of two words.
_LONGEST_HEADER = 400
_CATALOGUE = re.compile(r'^msgid\s+"', re.MULTILINE)


def choose(kind: str, asked: str, file: TextFile, columns: Columns) -> str:
    """Return the format of a file: the one asked for, or found out when that is ``auto``.

    Raises:
        BadInputError: when this kind of source has no such format, or the file shows none of them.
    """
    allowed = FORMATS[kind]
    if asked not in ("auto", *allowed):
        raise BadInputError(
            f"{file.path}: a source of kind {kind!r} cannot have format {asked!r}, only "
            f"{', '.join(allowed)}. Correct `format`, or remove it to detect the format"
        )
    found = _detect(kind, file, columns) if asked == "auto" else asked
    if found not in _NOT_TEXT and file.is_blank:
        raise BadInputError(
            f"{file.path} is empty: a source of kind {kind!r} needs rows. Check the file, or leave it out"
        )
    if found not in allowed:
        file.refuse_undecodable_header()
        layouts = "; ".join(f"{name} ({_LAYOUTS[name]})" for name in allowed)
        raise BadInputError(
            f"{file.path}: the format of this {kind} file was not recognized. It starts with {file.start[:80]!r}. "
            f"Readable: {layouts}. The header of a table needs {' and '.join(columns.required)}. Correct the file, "
            f"name a `format`, or name the table's `columns`{_other_signs(file.start.partition(chr(10))[0])}"
        )
    return found


def are_aligned(files: Sequence[TextFile], columns: Columns) -> bool:
    """Return whether these are two plain-text files, neither JSON nor with tabs: an aligned pair.

    Tables without a header are none: their columns hold both languages, whatever separates them.
    """
    return len(files) == 2 and not any(_named_table(file) or _detect("parallel", file, columns) != "" for file in files)


def _detect(kind: str, file: TextFile, columns: Columns) -> str:
    with open_unpacked(file.path, file.packed) as content:
        first = content.read(4096)
    if first[:4] in _MAGIC:
        return _MAGIC[first[:4]]
    # XML says its encoding itself; other text in UTF-16 is refused.
    if kind == "parallel" and first.startswith(_UTF_16) and _is_tmx(first.decode("utf-16", "replace")):
        return "tmx"
    start = file.start.lstrip()
    first_line = start.partition("\n")[0]
    refuse_page_of_viewer(file)
    # A plain text may begin with a bracket or brace, as headlines do ("[속보] ..."); JSON goes on as JSON does.
    if start.startswith("{") and (kind != "text" or _OBJECT.match(start)):
        return _detect_object(first_line, kind)
    if _ARRAY.match(start) or (kind == "instructions" and start.startswith("[")):
        return "json"
    if kind == "text":
        return _detect_table_of_texts(first_line, file, columns)
    if kind == "parallel" and _is_tmx(start):
        return "tmx"
    if kind == "parallel" and _CATALOGUE.search(start):
        return "po"
    return _detect_table(kind, start, columns)


def _is_tmx(start: str) -> bool:
    return start.lstrip().startswith("<") and "<tmx" in start[:4096]


def _detect_table_of_texts(header: str, file: TextFile, columns: Columns) -> str:
    """Return whether a file is a table with a column of texts, by its header or its name, or plain text.

    Raises:
        BadInputError: when its name says that it is a table, and its header does not say which column holds the texts.
    """
    named = _named_table(file)
    for table, sign in (("tsv", "\t"), ("csv", ",")):
        cells = header.split(sign)
        # A sentence with a comma may hold the word, too: a header has several cells of a word each.
        is_header = len(cells) > 1 and all(_TITLE.fullmatch(cell.strip()) for cell in cells)
        if _names_columns(cells, columns) and (is_header or named == table):
            return table
    if named and columns.numbers:
        return named
    if not named:
        _refuse_an_unnamed_table(file, columns)
    if named:
        file.refuse_undecodable_header()
        shown = header if len(header) <= _LONGEST_HEADER else f"{header[:_LONGEST_HEADER]}…"
        raise BadInputError(
            f"{file.path} is named as a table (.{named}), but its first row has no column {columns.required[0]!r}: "
            f"{shown!r}. Name the column of the texts in `columns` ({{text: NAME}}, or {{text: '2'}} with "
            f"`format: {named}` where there is no header), or set `format: text` if each line is a document"
            f"{_other_signs(header)}"
        )
    return "text"


def _named_table(file: TextFile) -> str | None:
    """Return the format of a table that a file's name says, if it says one."""
    suffix = next((part for part in reversed(file.path.suffixes) if part.lower() not in _PACKED), "")
    return _TABLE_SUFFIXES.get(suffix.lower())


def _refuse_an_unnamed_table(file: TextFile, columns: Columns) -> None:
    """Stop where a text file is a table by what its lines hold: ids and labels are no text to learn."""
    lines = [line for line in file.start.split("\n", 20)[:20] if line.strip()]
    cells = lines[0].split(",") if lines else []
    tabs, bars = ({line.count(sign) for line in lines} for sign in "\t|")
    is_header = len(cells) > 1 and all(_NAME.fullmatch(cell.strip()) for cell in cells)
    if len(lines) > 1 and len(tabs) == 1 and 0 not in tabs:
        table = "tsv"
    elif len(lines) > 1 and is_header and all(line.count(",") >= len(cells) - 1 for line in lines):
        table = "csv"
    elif len(lines) > 1 and len(bars) == 1 and 0 not in bars:
        raise BadInputError(
            f"{file.path} is a table: each line has as many '|', as {lines[0][:80]!r}. Export it again with commas or "
            "tabs and name the column of the texts in `columns`, or set `format: text` if each line is a document"
        )
    else:
        return
    raise BadInputError(
        f"{file.path} is a table: its lines have {_LAYOUTS[table].split()[0]} columns, as {lines[0][:80]!r}, and none "
        f"is called {columns.required[0]!r}. Set `format: {table}` and name the column of the texts in `columns` "
        "({text: NAME}, or {text: '2'} where there is no header), or set `format: text` if each line is a document"
    )


def _other_signs(header: str) -> str:
    """Return what to do about a table whose columns another sign parts."""
    sign = next((sign for sign in ";|" if sign in header and "," not in header and "\t" not in header), None)
    return f". Its columns are parted by {sign!r}: export it again with commas or tabs" if sign else ""


def _detect_table(kind: str, start: str, columns: Columns) -> str:
    header = start.partition("\n")[0]
    if _names_columns(header.split("\t"), columns) or (kind == "parallel" and _has_tabs(start)):
        return "tsv"
    return "csv" if _names_columns(header.split(","), columns) else ""


def _names_columns(cells: Sequence[str], columns: Columns) -> bool:
    titles = {*map(title_of, cells)}
    return all(columns.names[field] & titles for field in columns.required)


def _has_tabs(text: str) -> bool:
    """Return whether most of the first lines hold tabs: a stray tab occurs in plain text, too."""
    lines = [line for line in text.split("\n", 20)[:20] if line.strip()]
    return sum("\t" in line for line in lines) > len(lines) / 2


def _detect_object(first_line: str, kind: str) -> str:
    try:
        row = json.loads(first_line)
    except (ValueError, RecursionError):
        # One object over several lines, or a broken first row: its reader says where it breaks.
        if kind == "parallel" and (first_line.strip() == "{" or '"data"' in first_line[:100]):
            return "aihub_json"
        return "" if first_line.strip() == "{" else "jsonl"
    if kind == "parallel" and isinstance(row.get("data"), list):
        return "aihub_json"
    return "jsonl"
