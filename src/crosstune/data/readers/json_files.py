"""JSON lines, JSON arrays, and AI-Hub's JSON, an object with the array ``data``."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from crosstune.data.readers.json_stream import JsonStream, told
from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError

# Rows of corpora are two or three levels deep, conversations with tool calls six. Python's parser ends at about 1,000.
MAX_DEPTH = 64
# What datasets-server.huggingface.co/rows answers.
_PAGE_OF_VIEWER = re.compile(r'\{\s*"(?:features"\s*:\s*\[|rows"\s*:\s*\[\s*\{\s*"row_idx")')
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


class _TwiceNamed(dict[str, Any]):
    """An object in which a key occurs twice: it is unclear which value is meant."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.key = next(name for name in names if names.count(name) > 1)


class _Parser:
    """Parses JSON, and remembers whether a key occurred twice in an object."""

    def __init__(self) -> None:
        self._has_twice_named = False

    def parse(self, text: str) -> Any:
        return json.loads(text, object_pairs_hook=self._object)

    def stream(self, file: TextFile) -> JsonStream:
        return JsonStream(file, self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self._has_twice_named = True
        return _TwiceNamed(pairs)

    def problem(self, row: Any) -> str:
        """Return why a parsed row cannot be read, if so."""
        twice = _twice_named(row) if self._has_twice_named else None
        return f"the key {twice!r} occurs twice; it is unclear which value is meant" if twice is not None else ""


def _twice_named(value: Any) -> str | None:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, _TwiceNamed):
            return value.key
        waiting.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    return None


def refuse_page_of_viewer(file: TextFile) -> None:
    """Refuse what the hub's viewer answers: it looks like a whole file, and is a page of one.

    Raises:
        BadInputError: when it is one.
    """
    if _PAGE_OF_VIEWER.match(file.start.lstrip()):
        raise BadInputError(
            f"{file.path} is a page of the hub's data set viewer, an object with `rows`: it holds 100 rows at most and "
            "may cut their texts. Download the data set's own files instead, Parquet or JSON lines"
        )


def json_lines(file: TextFile) -> Records:
    """Yield the content of each line that is not blank."""
    parser = _Parser()
    for number, line, problem in file.lines():
        origin = f"{file.name}:{number}"
        if problem:
            yield Record(origin, line, problem)
        elif line.strip():
            if _is_too_deep(line):
                yield Record(origin, line, f"not valid JSON of a row: nested more than {MAX_DEPTH} levels deep")
                continue
            try:
                row = parser.parse(line)
            except (ValueError, RecursionError) as error:
                is_parted = line.strip() in ("{", "[")
                hint = "; a row stands on one line, unless all are an array [{...}, ...]" if is_parted else ""
                yield Record(origin, line, f"not valid JSON ({error}){hint}")
                continue
            problem = parser.problem(row)
            # The text itself: of two values with one key, the object has kept the last.
            yield Record(origin, line if problem else row, problem)


def _is_too_deep(text: str) -> bool:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _TEXT_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False


def json_array(file: TextFile) -> Records:
    """Yield the rows of ``[{...}, {...}]``.

    Raises:
        BadInputError: when the file is no JSON, or no array.
    """
    parser = _Parser()
    stream = parser.stream(file)
    if (first := stream.next_character()) != "[":
        content = told(dict.fromkeys(_passed_keys(stream))) if first == "{" else repr(stream.value())[:80]
        stream.end()
        raise BadInputError(
            f"{file.path} should hold a JSON array of rows, [{{...}}, ...], but holds "
            f"{f'an object with the keys {content}' if first == '{' else content}. Correct the file or `format`"
        )
    for number, row in enumerate(stream.items(), start=1):
        yield Record(f"{file.name}:row {number}", row, parser.problem(row))
    stream.end()


def aihub_json(file: TextFile, languages: Sequence[str]) -> Records:
    """Yield the rows of ``{"data": [...]}``, the texts of the languages without the ``>`` that AI-Hub's may begin with.

    Raises:
        BadInputError: when the file is no JSON, or has no array ``data``, or two.
    """
    parser = _Parser()
    stream = parser.stream(file)
    if stream.next_character() != "{":
        content = stream.value()
        stream.end()
        raise _no_aihub_json(file, f"a {type(content).__name__}")
    found: dict[str, None] = {}
    for key in stream.names():
        if key in found:
            raise BadInputError(
                f"{file.path}: the key {key!r} occurs twice; it is unclear which value is meant. Split it into one "
                f"file for each array `data`"
            )
        found[key] = None
        if key != "data":
            stream.value()
            continue
        if stream.next_character() not in ("[", ""):
            raise _no_aihub_json(file, "a `data` that is no array")
        for number, row in enumerate(stream.items(), start=1):
            problem = parser.problem(row)
            if isinstance(row, dict) and not problem:
                row |= {key: _without_stray_mark(row[key]) for key in languages if isinstance(row.get(key), str)}
            yield Record(f"{file.name}:row {number}", row, problem)
    stream.end()
    if "data" not in found:
        raise _no_aihub_json(file, f"the keys {told(found)}")


def _no_aihub_json(file: TextFile, found: str) -> BadInputError:
    return BadInputError(
        f'{file.path} was read as AI-Hub JSON, an object {{"data": [...]}}, but it holds {found}. '
        "Correct the file, or name its format (json, jsonl, tsv)"
    )


def _passed_keys(stream: JsonStream) -> Iterator[str]:
    for key in stream.names():
        stream.value()
        yield key


def _without_stray_mark(text: str) -> str:
    return text.lstrip().removeprefix(">").lstrip()
