"""XML, read with a parser that resolves nothing: no entities, no DOCTYPE from elsewhere."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar
from xml.parsers import expat

from crosstune.data.readers.archives import Member
from crosstune.data.readers.unpack import open_unpacked
from crosstune.errors import BadInputError

_DECLARES_UTF_16 = re.compile(rb"<\?xml[^>]*encoding=[\"']utf-?16", re.IGNORECASE)
_Item = TypeVar("_Item")
Handler = Callable[[str, dict[str, str]], None]


class XmlItems(Generic[_Item]):
    """The items of an XML file, which its handlers add to ``found`` when their elements end.

    The file is parsed piece by piece, and the items of a piece are given on before the next one is read.
    """

    def __init__(self, path: Path, packed: Member | None = None) -> None:
        self.path, self._packed = path, packed
        self.found: list[_Item] = []
        self._parser = expat.ParserCreate("utf-8" if self._was_converted() else None)
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser.buffer_text = True
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._refuse_reference

    def _was_converted(self) -> bool:
        """Return whether the file declares UTF-16, and is not: `iconv` leaves the declaration as it was."""
        with open_unpacked(self.path, self._packed) as file:
            return _DECLARES_UTF_16.match(file.read(200).removeprefix(b"\xef\xbb\xbf")) is not None

    def handle(self, start: Handler, end: Callable[[str], None], text: Callable[[str], Any]) -> None:
        """Set what is called at the start and the end of an element, and at text."""
        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end
        self._parser.CharacterDataHandler = text

    @property
    def line(self) -> int:
        """Return the line at which the parser stands."""
        return self._parser.CurrentLineNumber

    def __iter__(self) -> Iterator[_Item]:
        """Yield the items.

        Raises:
            BadInputError: when the XML is malformed or uses entities.
        """
        with open_unpacked(self.path, self._packed) as file:
            more = True
            while more:
                content = file.read(2**16)
                more = bool(content)
                try:
                    self._parser.Parse(content, not more)
                except BadInputError:
                    raise
                except (ValueError, LookupError) as error:
                    raise BadInputError(
                        f"{self.path} is XML in an encoding that cannot be read ({error}). Convert it to UTF-8"
                    ) from None
                except expat.ExpatError as error:
                    raise BadInputError(
                        f"{self.path} is not well-formed XML: {expat.ErrorString(error.code)} at line {error.lineno}, "
                        f"column {error.offset + 1}. Copy or download it again, or correct that place"
                    ) from None
                yield from self.found
                self.found.clear()

    def _refuse_entity(self, name: str, *_: Any) -> None:
        raise BadInputError(
            f"{self.path}, line {self.line}: declares the XML entity {name!r}. Entities can make "
            "a file explode or read other files, so none is resolved. Write the text in its place"
        )

    def _refuse_reference(self, name: str, *_: Any) -> None:
        raise BadInputError(
            f"{self.path}, line {self.line}: uses the unknown XML entity &{name};. "
            "Allowed are &amp; &lt; &gt; &quot; &apos; and character numbers. Write the text in its place"
        )
