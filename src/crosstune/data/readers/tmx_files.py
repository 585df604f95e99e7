"""Translation memories (TMX 1.4): units with one segment per language."""

from collections.abc import Sequence
from pathlib import Path

from crosstune.data.readers.archives import Member
from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.xml_files import XmlItems
from crosstune.languages.registry import is_in

# The formatting codes of the original document, kept for its editor: no text of the sentence. <hi> holds text.
_CODES = {"bpt", "ept", "it", "ph", "ut"}


def tmx(path: Path, name: str, languages: Sequence[str], packed: Member | None = None) -> Records:
    """Yield the segments of each unit as ``{language: text}``; of regional variants (en-US), the language counts.

    Raises:
        BadInputError: when the XML is malformed or uses entities.
    """
    return iter(_Units(path, name, languages, packed))


class _Units(XmlItems[Record]):
    def __init__(self, path: Path, name: str, languages: Sequence[str], packed: Member | None) -> None:
        super().__init__(path, packed)
        self._name, self._languages = name, languages
        self._segments: list[tuple[str, str]] = []
        self._text: list[str] = []
        self._language, self._is_in_segment = "", False
        self._unit_line = self._num_units = self._code_depth = 0
        self.handle(self._start, self._end, self._add_text)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "tu":
            self._segments, self._unit_line = [], self.line
            self._num_units += 1
        elif tag == "tuv":
            given = attributes.get("xml:lang", attributes.get("lang", ""))
            ours = (language for language in self._languages if is_in(given, language))
            self._language = next(ours, given.lower())
        elif tag == "seg":
            self._text, self._is_in_segment = [], True
        elif tag in _CODES:
            self._code_depth += 1

    def _add_text(self, text: str) -> None:
        if self._is_in_segment and not self._code_depth:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        if tag == "seg":
            self._segments.append((self._language, "".join(self._text)))
            self._is_in_segment = False
        elif tag in _CODES:
            self._code_depth -= 1
        elif tag == "tu":
            self.found.append(self._record())

    def _record(self) -> Record:
        found = [language for language, _ in self._segments]
        wrong = [language for language in self._languages if found.count(language) != 1]
        problem = (
            f"a unit needs one segment each in {' and '.join(self._languages)}; this one has "
            f"{', '.join(found) or 'none'}"
            if wrong
            else ""
        )
        texts = {language: text for language, text in self._segments if wrong or language in self._languages}
        # The number tells units on one line apart.
        return Record(f"{self._name}:{self._unit_line} unit {self._num_units}", texts, problem)
