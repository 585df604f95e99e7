"""The rows that readers yield, and the record of every row that is dropped on its way to an example."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from crosstune.errors import BadInputError

BAD_ROW = "bad row"
OnBadRow = Literal["stop", "drop"]
_Readable = TypeVar("_Readable")


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
    """What was dropped, why, and the rows themselves: in memory, or in a file where they may be many."""

    def __init__(self, path: Path | None = None) -> None:
        """Begin a record; ``path`` gets one JSON object per line."""
        self.records: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._file = path.open("w", encoding="utf-8") if path else None

    def add(self, reason: str, source: str, origin: str, row: Any, **more: Any) -> None:
        """Record one dropped row."""
        record = {"reason": reason, "source": source, "origin": origin, "row": row, **more}
        self._counts[reason] += 1
        if self._file:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        else:
            self.records.append(record)

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
            drops.add(BAD_ROW, source, row.origin, printable(row.content), problem=printable(row.problem))
        else:
            raise BadInputError(
                f"{row.origin} (of {source}): {printable(row.problem)}. Found: {str(printable(row.content))[:300]}. "
                "Correct the row, or set data.quality.on_bad_row=drop to go on without such rows (they are listed in "
                "dropped.jsonl)"
            )


def texts_problem(row: Any, required: Iterable[str]) -> str:
    """Return why a JSON row lacks the required texts, or nothing."""
    required = tuple(required)
    if not isinstance(row, Mapping):
        return f"not a JSON object with the keys {', '.join(required)}"
    for key in required:
        if not isinstance(row.get(key), str):
            what = f"no key {key!r}" if key not in row else f"{key!r} is not a text"
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


def printable(content: Any) -> Any:
    """Return a row as it can be written, with half characters escaped."""
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    if isinstance(content, Mapping):
        return {printable(key): printable(value) for key, value in content.items()}
    return [printable(value) for value in content] if isinstance(content, list | tuple) else content
