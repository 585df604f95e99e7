"""XML as a table: each child of the root is a row, of its attributes and of the texts of its own children."""

from pathlib import Path
from typing import Any

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.xml_files import XmlItems

_ROW, _CELL = 2, 3


def xml_rows(path: Path, name: str) -> Records:
    """Yield the rows."""
    for line, row, twice in _Rows(path):
        problem = f"{twice!r} occurs twice; it is unclear which text is meant" if twice else ""
        yield Record(f"{name}:{line}", row, problem)


class _Rows(XmlItems[tuple[int, dict[str, Any], str]]):
    """Line number, attributes and texts of each row, and what occurs twice in it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._depth = 0
        self._row: dict[str, Any] = {}
        self._row_line = 0
        self._twice = ""
        self._text: list[str] = []
        self.handle(self._start, self._end, self._text.append)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        # Not at deeper tags: what stands in <b> inside a text belongs to it.
        if self._depth == _CELL:
            self._text.clear()
        if self._depth == _ROW:
            self._row, self._row_line, self._twice = dict(attributes), self.line, ""

    def _end(self, tag: str) -> None:
        if self._depth == _CELL:
            self._twice = self._twice or (tag if tag in self._row else "")
            self._row[tag] = "".join(self._text).strip()
        if self._depth == _ROW:
            self.found.append((self._row_line, self._row, self._twice))
        self._depth -= 1
