"""Readers: each published format in, plain rows out, with file and line."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crosstune.data.files import read_json_file, read_lines
from crosstune.errors import BadInputError
from crosstune.recipe import Languages, Source

Format = Literal["json", "jsonl", "tsv", "aihub_json", "aligned_text", "text"]
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a corpus, as it was read.

    Attributes:
        fields: by name: ``instruction``, ``input``, ``output``; or one text per language; or ``text``.
        origin: file and line, or file and row of a JSON list.
    """

    fields: dict[str, str]
    origin: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not what its source says."""

    problem: str
    origin: str
    content: str


Rows = Iterator[RawRow | BadRow]


def read_source(source: Source, files: Sequence[Path], languages: Languages) -> Rows:
    """Yield the rows of a source in the order of its files.

    Raises:
        BadInputError: when a file's format is unknown or it cannot be read as its format at all.
    """
    pair = (languages.source, languages.target)
    wanted = {"parallel": pair, "instructions": ("instruction", "output"), "text": ("text",)}[source.kind]
    if source.format == "aligned_text":
        yield from _aligned_text(files, pair)
        return
    for path in files:
        form = detect_format(path, source.kind) if source.format == "auto" else source.format
        yield from _READERS[form](path, wanted)


def detect_format(path: Path, kind: str) -> Format:
    """Return the format of a file, by its content.

    Raises:
        BadInputError: when nothing fits.
    """
    first = next((line for _, line in read_lines(path)), None)
    if first is None:
        raise BadInputError(f"{path}: this file is empty; remove it from the recipe, or give it rows")
    start = first.lstrip()
    if start.startswith("["):
        return "json"
    if start.startswith("{"):
        return "jsonl" if _is_json(first) and '"data"' not in start[:20] else "aihub_json"
    if kind == "text":
        return "text"
    if kind == "parallel" and "\t" in first:
        return "tsv"
    raise BadInputError(
        f"{path}: cannot tell the format of this {kind} corpus from its first line {first[:80]!r}. Known: a JSON list, "
        'JSON lines, AI-Hub JSON ({"data": [...]}), and for parallel corpora tab-separated text; two aligned files '
        "need `format: aligned_text`"
    )


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


def _json_list(path: Path, wanted: Sequence[str]) -> Rows:
    content = read_json_file(path)
    if not isinstance(content, list):
        raise BadInputError(f"{path}: a JSON list of rows was expected, found {type(content).__name__}")
    for index, row in enumerate(content):
        yield _row(row, wanted, f"{path}:row {index + 1}")


def _json_lines(path: Path, wanted: Sequence[str]) -> Rows:
    for number, line in read_lines(path):
        origin = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield BadRow(f"not valid JSON at column {error.colno} ({error.msg})", origin, line[:_SHOWN])
            continue
        # Hugging Face's translation layout: {"translation": {"en": ..., "ko": ...}}
        yield _row(row.get("translation", row) if isinstance(row, dict) else row, wanted, origin)


def _aihub_json(path: Path, wanted: Sequence[str]) -> Rows:
    """Read AI-Hub's JSON: ``ko`` and ``en`` are the texts; ``mt`` is a machine's draft and never read."""
    content = read_json_file(path)
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list):
        raise BadInputError(
            f"{path}: AI-Hub JSON holds a list under `data`; found "
            f"{', '.join(sorted(content)) if isinstance(content, dict) else type(content).__name__}"
        )
    for index, row in enumerate(data):
        yield _row(row, wanted, f"{path}:row {index + 1}", clean=_without_quote_mark)


def _without_quote_mark(text: str) -> str:
    """Take off the ``>`` that AI-Hub's texts may begin with."""
    return text.removeprefix(">").lstrip() if text.startswith(">") else text


def _tsv(path: Path, wanted: Sequence[str]) -> Rows:
    """Read tab-separated columns: named by a header, else source language first, target language second (Tatoeba)."""
    columns: list[int] | None = None
    for number, line in read_lines(path):
        cells = line.split("\t")
        if columns is None:
            header = [cell.strip().lower() for cell in cells]
            if set(wanted) <= set(header):
                columns = [header.index(name) for name in wanted]
                continue
            columns = [0, 1]
        if len(cells) <= max(columns):
            problem = f"{len(cells)} columns where at least {max(columns) + 1} were expected"
            yield BadRow(problem, f"{path}:{number}", line[:_SHOWN])
            continue
        texts = {name: cells[column] for name, column in zip(wanted, columns, strict=True)}
        yield RawRow(texts, f"{path}:{number}")


def _text(path: Path, wanted: Sequence[str]) -> Rows:
    for number, line in read_lines(path):
        yield RawRow({wanted[0]: line}, f"{path}:{number}")


def _aligned_text(files: Sequence[Path], pair: tuple[str, str]) -> Rows:
    """Read two files whose lines translate each other, the source language's first."""
    if len(files) != 2:
        raise BadInputError(
            f"`format: aligned_text` takes two files, {pair[0]} first and {pair[1]} second; found {len(files)}: "
            f"{', '.join(str(path) for path in files) or 'none'}"
        )
    left, right = (dict(read_lines(path)) for path in files)
    if max(left, default=0) != max(right, default=0):
        raise BadInputError(
            f"{files[0]} has {max(left, default=0)} lines, {files[1]} has {max(right, default=0)}: aligned files have "
            "the same number. Find where they part, or fetch them again"
        )
    for number in sorted(left.keys() | right.keys()):
        origin = f"{files[0]}:{number}"
        yield RawRow({pair[0]: left.get(number, ""), pair[1]: right.get(number, "")}, origin)


def _row(row: Any, wanted: Sequence[str], origin: str, clean: Callable[[str], str] = str) -> RawRow | BadRow:
    shown = json.dumps(row, ensure_ascii=False)[:_SHOWN]
    if not isinstance(row, dict):
        return BadRow(f"an object with {', '.join(wanted)} was expected, found {type(row).__name__}", origin, shown)
    missing = [name for name in wanted if name not in row]
    if missing:
        return BadRow(f"the key {', '.join(missing)} is missing; found {', '.join(sorted(row))}", origin, shown)
    names = (*wanted, "input") if wanted[0] == "instruction" else wanted
    fields = {name: row.get(name) or "" for name in names}
    wrong = [name for name, value in fields.items() if not isinstance(value, str)]
    if wrong:
        return BadRow(f"{', '.join(wrong)} is {type(fields[wrong[0]]).__name__}, not text", origin, shown)
    return RawRow({name: clean(value) for name, value in fields.items()}, origin)


_READERS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {
    "json": _json_list,
    "jsonl": _json_lines,
    "aihub_json": _aihub_json,
    "tsv": _tsv,
    "text": _text,
}
