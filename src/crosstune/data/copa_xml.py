"""The COPA XML file, read with a parser that resolves nothing: no entities, no DOCTYPE from elsewhere."""

from pathlib import Path
from typing import Any
from xml.parsers import expat

from crosstune.errors import BadInputError

_TEXTS = {"p": "premise", "a1": "choice1", "a2": "choice2"}


class _Items:
    """Gathers the items while the parser walks through the file."""

    def __init__(self, parser: expat.XMLParserType, path: Path) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self._parser, self._path = parser, path
        self._text: list[str] = []
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._refuse_reference

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        # Not at other tags: what stands in <b> inside a text belongs to it.
        if tag in _TEXTS:
            self._text.clear()
        if tag == "item":
            self.rows.append((self._parser.CurrentLineNumber, dict(attributes)))

    def _end(self, tag: str) -> None:
        if tag in _TEXTS and self.rows:
            self.rows[-1][1][_TEXTS[tag]] = "".join(self._text).strip()

    def _refuse_entity(self, name: str, *_: Any) -> None:
        raise BadInputError(
            f"{self._path}, line {self._parser.CurrentLineNumber}: declares the XML entity {name!r}. Entities can make "
            "a file explode or read other files, so none is resolved. Write the text in its place"
        )

    def _refuse_reference(self, name: str, *_: Any) -> None:
        raise BadInputError(
            f"{self._path}, line {self._parser.CurrentLineNumber}: uses the unknown XML entity &{name};. "
            "Allowed are &amp; &lt; &gt; &quot; &apos; and character numbers. Write the text in its place"
        )


def read_items(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return line number, attributes and texts of each item.

    Raises:
        BadInputError: when the XML is malformed or uses entities.
    """
    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.buffer_text = True
    items = _Items(parser, path)
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise BadInputError(
            f"{path} is not well-formed XML: {expat.ErrorString(error.code)} at line {error.lineno}, column "
            f"{error.offset + 1}. Copy or download it again, or correct that place"
        ) from None
    return items.rows
