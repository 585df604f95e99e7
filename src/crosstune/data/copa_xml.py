"""The COPA corpus as published in 2011: items of a premise and two alternatives, in XML."""

from pathlib import Path
from typing import Any

from crosstune.data.readers.xml_files import XmlItems

_TEXTS = {"p": "premise", "a1": "choice1", "a2": "choice2"}


class CopaItems(XmlItems[tuple[int, dict[str, Any]]]):
    """Line number, attributes and texts of each item."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._row: dict[str, Any] = {}
        self._item_line = 0
        self._text: list[str] = []
        self.handle(self._start, self._end, self._text.append)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        # Not at other tags: what stands in <b> inside a text belongs to it.
        if tag in _TEXTS:
            self._text.clear()
        if tag == "item":
            self._row, self._item_line = dict(attributes), self.line

    def _end(self, tag: str) -> None:
        if tag in _TEXTS:
            self._row[_TEXTS[tag]] = "".join(self._text).strip()
        if tag == "item":
            self.found.append((self._item_line, self._row))
