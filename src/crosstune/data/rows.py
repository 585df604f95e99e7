"""The rows that readers yield, and the record of every row that is dropped on its way to an example."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from crosstune.errors import BadInputError

BAD_ROW = "bad row"
OnBadRow = Literal["stop", "drop"]
_Readable = TypeVar("_Readable")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class Row(NamedTuple):
    """A readable row: its texts by name, and where it stands.

    A named tuple, because a corpus has millions and this is the cheapest record with names.
    """

    origin: str
    texts: dict[str, str]


class BadRow(NamedTuple):
    """A row that is not what its format says; the recipe decides whether that stops the run."""

    origin: str
    problem: str
    content: Any


class Drops:
    """What was dropped, why, and the rows themselves: in memory, or in a file where they may be many.

    Attributes:
        changes: how many rows were kept with another text, by what was changed.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Begin a record; ``path`` gets one JSON object per line."""
        self.records: list[dict[str, Any]] = []
        self.changes: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._file = path.open("w", encoding="utf-8") if path else None

    def add(self, reason: str, source: str, origin: str, row: Any, **more: Any) -> None:
        """Record one dropped row."""
        record = {"reason": reason, "source": source, "origin": origin, "row": row, **more}
        self._counts[reason] += 1
        if self._file:
            self._file.write(as_json(record) + "\n")
        else:
            self.records.append(json.loads(as_json(record)))

    def counts(self) -> dict[str, int]:
        """Return the number of drops by reason."""
        return dict(self._counts)

    def close(self) -> None:
        """End the file."""
        if self._file:
            self._file.close()


def readable(
    rows: Iterable[_Readable | BadRow], source: str, on_bad_row: OnBadRow, drops: Drops
) -> Iterator[_Readable]:
    """Yield the readable rows; a bad one stops the run or is dropped, as the recipe says.

    Raises:
        BadInputError: at the first bad row, when bad rows stop the run.
    """
    for row in rows:
        if not isinstance(row, BadRow):
            yield row
        elif on_bad_row == "drop":
            drop_bad_row(row, source, drops)
        else:
            raise bad_row_error(row, source)


def drop_bad_row(row: BadRow, source: str, drops: Drops) -> None:
    """Record a bad row that the recipe lets the run go on without."""
    drops.add(BAD_ROW, source, row.origin, row.content, problem=row.problem)


def bad_row_error(row: BadRow, source: str) -> BadInputError:
    """Return the error of a bad row at which the run stops."""
    return BadInputError(
        f"{row.origin} (of {source}): {printable(row.problem)}. Found: {_shown(row.content)[:300]}. "
        "Correct the row, or set data.quality.on_bad_row=drop to drop such rows (they are listed in "
        "dropped.jsonl)"
    )


def texts_problem(row: Any, required: Iterable[str]) -> str:
    """Return why a JSON row lacks the required texts, or nothing."""
    required = tuple(required)
    if not isinstance(row, Mapping):
        return f"not a JSON object with the keys {', '.join(required)}"
    for key in required:
        if not isinstance(row.get(key), str):
            # What a reader knows about a value that is no text, it says.
            problem = getattr(row.get(key), "problem", "is not a text")
            what = f"no key {key!r}" if key not in row else f"{key!r} {problem}"
            return f"{what}; needed: {', '.join(required)}; there are {', '.join(map(str, row)) or 'none'}"
        if not is_encodable(row[key]):
            return f"{key!r} holds half a surrogate pair, which is no character"
    return ""


def is_encodable(text: str) -> bool:
    """Return whether a text can be written as UTF-8: JSON escapes can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return a text as it can be written, with half characters escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(content: Any) -> str:
    """Return any row in JSON, whatever a file may hold: bytes, dates, half characters, as their text."""
    try:
        line = json.dumps(content, ensure_ascii=False, default=_as_text)
    except RecursionError:
        # It was parsed within the same limit, with fewer calls around it.
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(2 * limit)
        try:
            line = json.dumps(content, ensure_ascii=False, default=_as_text)
        finally:
            sys.setrecursionlimit(limit)
    # Escaped twice: read as JSON again, it is text that can be written.
    return _HALF_CHARACTER.sub(lambda half: f"\\\\u{ord(half[0]):04x}", line)


def _as_text(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    return list(value) if isinstance(value, set | frozenset) else str(value)


def _shown(content: Any) -> str:
    return printable(content) if isinstance(content, str) else as_json(content)
