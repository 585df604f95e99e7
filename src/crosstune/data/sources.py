"""Training corpora: the rows of a source's files, readable or bad, with their places."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from crosstune.data import files, formats
from crosstune.data.fields import columns_of, interpreter
from crosstune.data.readers.aligned_files import aligned_text
from crosstune.data.readers.archives import members
from crosstune.data.readers.hugging_face import hugging_face
from crosstune.data.readers.json_files import aihub_json, json_array, json_lines
from crosstune.data.readers.parquet_files import parquet
from crosstune.data.readers.po_files import gettext
from crosstune.data.readers.records import Records
from crosstune.data.readers.spreadsheets import xlsx
from crosstune.data.readers.tables import Columns, comma_separated, tsv
from crosstune.data.readers.text_files import TextFile
from crosstune.data.readers.tmx_files import tmx
from crosstune.data.rows import BadRow, Row
from crosstune.errors import BadInputError
from crosstune.languages.writing_systems import are_exchanged
from crosstune.recipe import Languages, Source
from crosstune.runs.named_files import matching

Rows = Iterator[Row | BadRow]

# Their readers give texts under our names already, so `columns` has nothing to rename in them.
_TABLES = ("tsv", "csv", "xlsx")


def find_files(source: Source, root: Path, where: str) -> list[Path]:
    """Return the files of a source; none for a data set of the hub, which its revision stands for.

    Raises:
        BadInputError: when there is none, or a data set of the hub has no revision; ``where`` names the setting.
    """
    if source.format != "hugging_face":
        return files.find(source.paths, root, where)
    found: list[Path] = []
    for name in source.paths:
        folder = next((path for path in matching(root, name) if path.is_dir()), None)
        if folder:
            found.extend(sorted(path for path in folder.rglob("*") if path.is_file()))
        elif source.revision is None:
            raise BadInputError(
                f"{where}: {name!r} is not a folder in {root}, so it is a data set of the Hugging Face hub, which may "
                f"change: set `revision` to its commit to make the run repeatable, or correct the path"
            )
    return found


def read_source(source: Source, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    """Yield the rows of a corpus: texts by language, by ``instruction, input, output``, or as ``text``.

    One row of a file gives several when it holds a conversation. Text, JSON lines, tables, Parquet and TMX are read in
    constant memory; what is parsed as a whole (spreadsheets, catalogues) is not.

    Raises:
        BadInputError: when a file cannot be read, has not the format asked for, or none that can be read, or when the
            sides of most pairs are exchanged.
    """
    rows = _rows(source, paths, root, languages)
    return _sides_in_place(rows, paths, root, languages) if source.kind == "parallel" else rows


def _rows(source: Source, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    columns = columns_of(source, languages)
    if source.format == "hugging_face":
        for name in source.paths:
            yield from _interpreted(hugging_face(source, name, root), source, languages)
        return
    text_files = [file for path in paths for file in _files_at(path, files.place(path, root), source.encoding)]
    if source.kind == "parallel" and (
        source.format == "aligned_text" or (source.format == "auto" and formats.are_aligned(text_files, columns))
    ):
        yield from _interpreted(_aligned(text_files, languages), source, languages)
        return
    for file in text_files:
        chosen = formats.choose(source.kind, source.format, file, columns)
        if chosen == "text":
            yield from _documents(file)
        else:
            plain = source.model_copy(update={"columns": {}}) if chosen in _TABLES else source
            yield from _interpreted(_records(chosen, file, columns, languages), plain, languages)


def _files_at(path: Path, name: str, encoding: str) -> list[TextFile]:
    """Return the file at a path, or the files in an archive."""
    inside = [TextFile(path / one.shown, f"{name}/{one.shown}", encoding, one) for one in members(path)]
    return inside or [TextFile(path, name, encoding)]


def _records(chosen: str, file: TextFile, columns: Columns, languages: Languages) -> Records:
    pair = languages.codes
    readers = {
        "aihub_json": lambda: aihub_json(file, pair),
        "json": lambda: json_array(file),
        "jsonl": lambda: json_lines(file),
        "tsv": lambda: tsv(file, columns),
        "csv": lambda: comma_separated(file, columns),
        "xlsx": lambda: xlsx(file.path, columns, file.name, file.packed),
        "parquet": lambda: parquet(file.path, file.name, file.packed),
        "po": lambda: gettext(file, *pair),
        "tmx": lambda: tmx(file.path, file.name, pair, file.packed),
    }
    return readers[chosen]()


def _aligned(text_files: Sequence[TextFile], languages: Languages) -> Records:
    if len(text_files) != 2:
        raise BadInputError(
            f"aligned_text needs two files, the first in {languages.source}, the second in {languages.target}; "
            f"{len(text_files)} were given: {', '.join(file.name for file in text_files)}. Make one source of each pair"
        )
    first, second = text_files
    return aligned_text(first, second, languages.codes)


def _documents(file: TextFile) -> Rows:
    """Yield one document per line, the shortest way: a corpus has a hundred million."""
    for number, text, problem in file.lines():
        origin = f"{file.name}:{number}"
        yield BadRow(origin, problem, text) if problem else Row(origin, {"text": text})


def _interpreted(records: Records, source: Source, languages: Languages) -> Rows:
    interpret = interpreter(source, languages)
    for origin, content, problem in records:
        found = problem or interpret(content)
        if isinstance(found, str):
            yield BadRow(origin, found, content)
            continue
        for number, texts in enumerate(found, start=1):
            # Rows are told apart by their origins.
            yield Row(origin if len(found) == 1 else f"{origin} answer {number}", texts)


def _sides_in_place(rows: Rows, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    """Pass pairs on; stop at the end when most have their sides exchanged."""
    num_rows = num_exchanged = 0
    for row in rows:
        if isinstance(row, Row):
            num_rows += 1
            num_exchanged += are_exchanged(
                (row.texts[languages.source], languages.source), (row.texts[languages.target], languages.target)
            )
        yield row
    if 2 * num_exchanged > num_rows:
        source, target = languages.source, languages.target
        raise BadInputError(
            f"{', '.join(files.place(path, root) for path in paths)}: the first side should be in {source}, the second "
            f"in {target}, but {num_exchanged} of {num_rows} rows have them the other way round. Exchange the two "
            "columns or the two files in `paths` (a glob sorts files by name: name each file), or name them in "
            "`columns`"
        )
