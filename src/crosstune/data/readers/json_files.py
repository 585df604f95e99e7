"""JSON lines, JSON arrays, and AI-Hub's JSON, an object with the array ``data``."""

import json
from collections.abc import Sequence
from typing import Any

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError


def json_lines(file: TextFile) -> Records:
    """Yield the content of each line that is not blank."""
    for number, line, problem in file.lines():
        if problem:
            yield Record(f"{file.name}:{number}", line, problem)
        elif line.strip():
            try:
                yield Record(f"{file.name}:{number}", json.loads(line))
            except (ValueError, RecursionError) as error:
                yield Record(f"{file.name}:{number}", line, f"not valid JSON ({error})")


def json_array(file: TextFile) -> Records:
    """Yield the rows of ``[{...}, {...}]``.

    Raises:
        BadInputError: when the file is no JSON, or no array.
    """
    content = _parse(file)
    if not isinstance(content, list):
        keys = f"an object with the keys {', '.join(content)}" if isinstance(content, dict) else repr(content)[:80]
        raise BadInputError(
            f"{file.path} should hold a JSON array of rows, [{{...}}, ...], but holds {keys}. "
            "Correct the file or `format`"
        )
    return (Record(f"{file.name}:row {number}", row) for number, row in enumerate(content, start=1))


def aihub_json(file: TextFile, languages: Sequence[str]) -> Records:
    """Yield the rows of ``{"data": [...]}``, the texts of the languages without the ``>`` that AI-Hub's may begin with.

    Raises:
        BadInputError: when the file is no JSON, or has no array ``data``.
    """
    content = _parse(file)
    if not (isinstance(content, dict) and isinstance(content.get("data"), list)):
        found = f"the keys {', '.join(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise BadInputError(
            f'{file.path} was read as AI-Hub JSON, an object {{"data": [...]}}, but it holds {found}. '
            "Correct the file, or name its format (json, jsonl, tsv)"
        )
    for number, row in enumerate(content["data"], start=1):
        if isinstance(row, dict):
            row |= {key: _without_stray_mark(row[key]) for key in languages if isinstance(row.get(key), str)}
        yield Record(f"{file.name}:row {number}", row)


def _without_stray_mark(text: str) -> str:
    return text.lstrip().removeprefix(">").lstrip()


def _parse(file: TextFile) -> Any:
    text, path = file.text(), file.path
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # A text without its closing quote runs to the end of the file.
        open_end = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        cut_off = " The file was probably cut off." if open_end else ""
        raise BadInputError(
            f"{path} is not valid JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos} of {len(text)}).{cut_off} Copy or download it again, or correct that place"
        ) from None
    except RecursionError:
        raise BadInputError(
            f"{path} is not a corpus in JSON: it is nested too deeply. Give a list of objects"
        ) from None
    except ValueError as error:
        # Python refuses integers of more than 4,300 digits, and does not say where.
        raise BadInputError(
            f"{path} holds a number that cannot be read ({error}). Shorten it or write it as text"
        ) from None
