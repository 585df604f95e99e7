"""Readers of training corpora: each yields the rows of a file, readable or bad, with their places."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crosstune.data import formats
from crosstune.data.files import lines_of, parse_json, place, read_text
from crosstune.data.rows import BadRow, Row, texts_problem
from crosstune.errors import BadInputError
from crosstune.prompts import LANGUAGE_NAMES
from crosstune.recipe import Languages, Source

Rows = Iterator[Row | BadRow]

# Scripts that tell a language from one in another script: enough to see that two sides were exchanged.
_SCRIPTS = {"ko": re.compile("[\uac00-\ud7a3\u1100-\u1112]"), "en": re.compile("[A-Za-z]")}


def read_source(source: Source, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    """Yield the rows of a corpus: texts by language, by ``instruction, input, output``, or as ``text``."""
    if source.kind == "parallel":
        yield from read_parallel(source.format, paths, root, languages)
        return
    for path in paths:
        text, name = read_text(path), place(path, root)
        chosen = formats.choose(source.kind, source.format, path, text)
        if chosen == "text":
            yield from (Row(f"{name}:{number}", {"text": line}) for number, line in lines_of(text))
        elif chosen == "jsonl":
            yield from _json_lines(text, name, _instruction if source.kind == "instructions" else _text)
        else:
            yield from _json_array(parse_json(text, path), path, name, _instruction)


def read_parallel(asked: str, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    """Yield pairs: a row's texts are named by the recipe's two languages.

    Raises:
        BadInputError: when a file has not the format asked for, or none that can be read, or when the sides of most
            rows are exchanged.
    """
    num_rows = num_exchanged = 0
    for row in _pairs(asked, paths, root, languages):
        if isinstance(row, Row):
            num_rows += 1
            num_exchanged += _is_exchanged(row.texts, languages)
        yield row
    if 2 * num_exchanged > num_rows:
        source, target = languages.source, languages.target
        raise BadInputError(
            f"{', '.join(place(path, root) for path in paths)}: the first side should be in {source}, the second in "
            f"{target}, but {num_exchanged} of {num_rows} rows have them the other way round. Exchange the two columns "
            "or the two files in `paths` (a glob sorts files by name: name each file)"
        )


def _is_exchanged(texts: dict[str, str], languages: Languages) -> bool:
    """Return whether neither side has a letter of its own language's script, but each has one of the other's."""
    scripts = _SCRIPTS.get(languages.source), _SCRIPTS.get(languages.target)
    if scripts[0] is None or scripts[1] is None:
        return False
    source, target = texts[languages.source], texts[languages.target]
    crossed = scripts[1].search(source) and scripts[0].search(target)
    return bool(crossed) and not scripts[0].search(source) and not scripts[1].search(target)


def _pairs(asked: str, paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    if asked == "aligned_text" or (asked == "auto" and formats.aligned(list(paths))):
        yield from _aligned(paths, root, languages)
        return
    pair = (languages.source, languages.target)
    for path in paths:
        text, name = read_text(path), place(path, root)
        chosen = formats.choose("parallel", asked, path, text)
        if chosen == "tsv":
            yield from _tsv(text, path, name, languages)
        elif chosen == "jsonl":
            yield from _json_lines(text, name, _pair(pair))
        elif chosen == "json":
            yield from _json_array(parse_json(text, path), path, name, _pair(pair))
        else:
            yield from _json_array(_aihub_rows(parse_json(text, path), path), path, name, _aihub_pair(pair))


def json_lines(text: str) -> Iterator[tuple[int, Any, str]]:
    """Yield number, content and problem of each line that is not blank."""
    for number, line in lines_of(text):
        if line.strip():
            try:
                yield number, json.loads(line), ""
            except (ValueError, RecursionError) as error:
                yield number, line, f"not valid JSON ({error})"


_Interpret = Callable[[Any], dict[str, str] | str]
"""Takes a JSON row; returns its texts, or what is wrong with it."""


def _json_lines(text: str, name: str, interpret: _Interpret) -> Rows:
    for number, content, problem in json_lines(text):
        yield _interpreted(f"{name}:{number}", content, problem or interpret(content))


def _json_array(content: Any, path: Path, name: str, interpret: _Interpret) -> Rows:
    if not isinstance(content, list):
        keys = f"an object with the keys {', '.join(content)}" if isinstance(content, dict) else repr(content)[:80]
        raise BadInputError(
            f"{path} should hold a JSON array of rows, [{{...}}, ...], but holds {keys}. Correct the file or `format`"
        )
    for number, row in enumerate(content, start=1):
        yield _interpreted(f"{name}:row {number}", row, interpret(row))


def _interpreted(origin: str, content: Any, texts: dict[str, str] | str) -> Row | BadRow:
    return BadRow(origin, texts, content) if isinstance(texts, str) else Row(origin, texts)


def _instruction(row: Any) -> dict[str, str] | str:
    problem = texts_problem(row, ("instruction", "output"))
    if problem:
        return problem
    # KoAlpaca 1.1 has no `input`; some sets write null for none.
    given = {"input": row.get("input") or ""}
    return texts_problem(given, ("input",)) or {
        "instruction": row["instruction"],
        "input": given["input"],
        "output": row["output"],
    }


def _text(row: Any) -> dict[str, str] | str:
    return texts_problem(row, ("text",)) or {"text": row["text"]}


def _pair(pair: tuple[str, str]) -> _Interpret:
    return lambda row: texts_problem(row, pair) or {language: row[language] for language in pair}


def _aihub_pair(pair: tuple[str, str]) -> _Interpret:
    """Read `ko` and `en`, which people checked; never `mt`, the machine's draft."""

    def interpret(row: Any) -> dict[str, str] | str:
        # AI-Hub's texts may begin with a stray ">".
        return texts_problem(row, pair) or {key: row[key].lstrip().removeprefix(">").lstrip() for key in pair}

    return interpret


def _aihub_rows(content: Any, path: Path) -> Any:
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        return content["data"]
    found = f"the keys {', '.join(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"
    raise BadInputError(
        f'{path} was read as AI-Hub JSON, an object {{"data": [...]}}, but it holds {found}. '
        "Correct the file, or name its format (json, jsonl, tsv)"
    )


def _tsv(text: str, path: Path, name: str, languages: Languages) -> Rows:
    """Read columns named by a header, else Tatoeba's layout: source language, target language, anything."""
    pair = (languages.source, languages.target)
    columns, has_header = _columns(text.partition("\n")[0].rstrip("\r"), path, pair)
    for number, line in lines_of(text):
        if number == 1 and has_header:
            continue
        fields = line.split("\t")
        if not line.strip():
            continue
        if len(fields) <= max(columns):
            yield BadRow(f"{name}:{number}", f"{len(fields)} columns; needed: {max(columns) + 1}", line)
        else:
            yield Row(f"{name}:{number}", {key: fields[column] for key, column in zip(pair, columns, strict=True)})


def _columns(first_line: str, path: Path, pair: tuple[str, str]) -> tuple[tuple[int, int], bool]:
    """Return the columns of both languages, and whether the first line is a header."""
    header = [field.strip().strip('"').lower() for field in first_line.split("\t")]
    names = [
        {language, *(own[language].lower() for own in LANGUAGE_NAMES.values() if language in own)} for language in pair
    ]
    matches = [[index for index, field in enumerate(header) if field in wanted] for wanted in names]
    if all(matches) and max(map(len, matches)) > 1:
        raise BadInputError(
            f"{path}: a parallel TSV needs one column of {pair[0]} and one of {pair[1]}, but its header names one of "
            f"them twice: {', '.join(header)}. Rename or remove the columns that are not meant"
        )
    found = [next(iter(match), None) for match in matches]
    source, target = found
    if source is not None and target is not None:
        return (source, target), True
    if source is None and target is None and len(header) >= 2:
        return (0, 1), False
    missing = [language for language, index in zip(pair, found, strict=True) if index is None]
    raise BadInputError(
        f"{path}: a parallel TSV needs the columns {pair[0]} and {pair[1]}, but its first line holds no "
        f"{' and no '.join(missing)}: {', '.join(header)}. Name the columns in the first line, or give a file without "
        f"a header whose first two columns are {pair[0]} and {pair[1]}"
    )


def _aligned(paths: Sequence[Path], root: Path, languages: Languages) -> Rows:
    """Read two files whose lines belong together; the first is in the source language."""
    if len(paths) != 2:
        raise BadInputError(
            f"aligned_text needs two files, the first in {languages.source}, the second in {languages.target}; "
            f"{len(paths)} were given: {', '.join(place(path, root) for path in paths)}. Make one source of each pair"
        )
    first, second = (list(lines_of(read_text(path))) for path in paths)
    if len(first) != len(second):
        raise BadInputError(
            f"aligned files need the same number of lines, but {paths[0]} has {len(first)} and {paths[1]} has "
            f"{len(second)}. Find the line that is missing or extra; nothing is guessed"
        )
    if not first:
        raise BadInputError(f"{paths[0]} and {paths[1]} are empty: give aligned files with lines")
    name = place(paths[0], root)
    for (number, source), (_, target) in zip(first, second, strict=True):
        yield Row(f"{name}:{number}", {languages.source: source, languages.target: target})
