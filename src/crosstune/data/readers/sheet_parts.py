"""The parts of a spreadsheet, looked through before a library lays its cells out in memory, whatever they ask for."""

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from crosstune.data.readers.archives import DAMAGED
from crosstune.data.readers.shared_texts import SharedTexts, num_characters
from crosstune.data.readers.unpack import MAX_RATIO, MIN_BOMB_BYTES
from crosstune.errors import BadInputError

# A sheet is laid out whole in memory, 32 bytes a cell, empty ones too: AI-Hub's have 200,000 rows of up to 9 columns.
MAX_CELLS = 50_000_000
# The ends of a sheet in every spreadsheet program.
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384
_REFERENCE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"

Formulas = dict[tuple[int, int], str]
"""Formulas without a value by row and column, both from 1."""


def check(path: Path, content: BytesIO | None = None) -> Formulas:
    """Refuse what the library would unpack or lay out without limit, and what it would pass over.

    Every part is parsed, wherever it lies and whatever its name: which of them are sheets, the file itself says.

    Returns:
        The formulas of the first sheet that no program has computed; the library gives nothing for them.

    Raises:
        BadInputError: when it is no whole spreadsheet, or a bomb.
    """
    size = len(content.getbuffer()) if content else path.stat().st_size
    allowed = max(MAX_RATIO * size, MIN_BOMB_BYTES)
    parts: dict[str, _Part] = {}
    try:
        with zipfile.ZipFile(content or path) as archive:
            _refuse_binary(archive, path)
            for member in archive.infolist():
                # What the file says about its size may be false: read until it ends.
                member.file_size = 2**62
                part = parts[member.filename] = _Part(path, member.filename)
                with archive.open(member) as part_content:
                    allowed -= part.read(part_content, allowed)
    except DAMAGED as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(
            f"{path} is not a complete spreadsheet (.xlsx): {error}. Copy or download it again, or save it as .xlsx"
        ) from None
    _refuse_copies(parts.values(), path, max(MAX_RATIO * size, MIN_BOMB_BYTES))
    return _first_sheet(parts, path)


def _refuse_copies(parts: Iterable["_Part"], path: Path, allowed: int) -> None:
    """Refuse texts that are kept once and come to more than any file of its size unpacks to, copied into each cell."""
    found = num_characters(part.texts for part in parts)
    if found > allowed:
        raise BadInputError(
            f"{path}: its cells repeat shared texts to {found:,} characters; up to {allowed:,} are read of a file of "
            "its size. Delete the columns that are not needed, or export it as tab-separated text in UTF-8"
        )


def _refuse_binary(archive: zipfile.ZipFile, path: Path) -> None:
    if any(name.lower().endswith("workbook.bin") for name in archive.namelist()):
        raise BadInputError(
            f"{path} is a binary spreadsheet (.xlsb), which is not read. Open it and save it as .xlsx, or export it as "
            "tab-separated text in UTF-8"
        )


def _first_sheet(parts: dict[str, "_Part"], path: Path) -> Formulas:
    """Return the formulas of the sheet that the workbook names first; refuse sheets whose XML was not understood."""
    by_name = {name.lower(): part for name, part in parts.items()}
    targets = by_name[_RELATIONS].targets if _RELATIONS in by_name else {}
    places = {number: _place(target) for number, target in targets.items()}
    for name, part in by_name.items():
        # Drawings of old Excels are no XML, and hold no cells.
        if part.problem and (not name.endswith(".vml") or name in places.values()):
            raise BadInputError(
                f"{path}: {part.name} is not well-formed XML ({part.problem}). Open it and save it as .xlsx, or export "
                "it as tab-separated text in UTF-8"
            )
    sheets = by_name[_WORKBOOK].sheets if _WORKBOOK in by_name else []
    first = by_name.get(places.get(sheets[0], "")) if sheets else None
    return first.formulas if first else {}


def _place(target: str) -> str:
    """Return the name of the part that a relation of the workbook means."""
    name = target.lower().lstrip("/")
    return posixpath.normpath(name if target.startswith("/") or name.startswith("xl/") else f"xl/{name}")


class _Part:
    """A part of a spreadsheet: the span of its cells, and what it says of the other parts."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.problem = ""
        self.formulas: Formulas = {}
        self.sheets: list[str] = []
        self.targets: dict[str, str] = {}
        self._row, self._column = 0, 0
        self._last_row, self._last_column = 0, 0
        self._formula: list[str] | None = None
        self._value: list[str] = []
        self._is_shared, self._in_shared = False, False
        self.texts = SharedTexts()
        self._num_promised = 0
        # The library takes every part for UTF-8, whatever its declaration says.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._starts: dict[str, Callable[[dict[str, str]], None]] = {
            "row": self._start_row,
            "c": self._start_cell,
            "f": self._start_formula,
            "v": self._start_value,
            "sst": self._start_shared_texts,
            "si": self._start_shared_text,
            "sheet": self._start_sheet,
            "Relationship": self._start_relation,
        }

    def read(self, content: IO[bytes], allowed: int) -> int:
        """Parse the part, if it is XML, and return its number of bytes."""
        num_bytes, is_xml = 0, False
        while piece := content.read(2**20):
            if not num_bytes:
                is_xml = piece.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
            num_bytes += len(piece)
            if num_bytes > allowed:
                size = self.path.stat().st_size
                raise BadInputError(
                    f"{self.path} unpacks to more than {max(MAX_RATIO * size, MIN_BOMB_BYTES):,} bytes from {size:,}, "
                    "so it is a damaged file or a zip bomb. Open it, and save the sheet that you need"
                )
            if is_xml and not self.problem:
                self._parse(piece, is_final=False)
        if is_xml and not self.problem:
            self._parse(b"", is_final=True)
        if self._num_promised > num_bytes:
            raise BadInputError(
                f"{self.path}: {self.name} says that it holds {self._num_promised:,} texts, but has {num_bytes:,} "
                "bytes. Open it and save it as .xlsx, or export it as tab-separated text in UTF-8"
            )
        if self._last_row * self._last_column > MAX_CELLS:
            raise BadInputError(
                f"{self.path}: {self.name} spans {self._last_row:,} rows x {self._last_column:,} columns; up to "
                f"{MAX_CELLS:,} cells are read. Delete the stray cells far out, or export it as tab-separated text in "
                "UTF-8"
            )
        return num_bytes

    def _parse(self, piece: bytes, is_final: bool) -> None:
        try:
            self._parser.Parse(piece, is_final)
        except expat.ExpatError as error:
            self.problem = f"{expat.ErrorString(error.code)} at line {error.lineno}, column {error.offset + 1}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        handler = self._starts.get(tag.rpartition(":")[2])
        # Nothing inside of a shared text is a cell; what looks like one must not hide how long the text is.
        if handler and not self._in_shared:
            handler(attributes)

    def _start_row(self, attributes: dict[str, str]) -> None:
        given = attributes.get("r")
        if given is not None and not (given.isascii() and given.isdigit()):
            raise self._no_place(given)
        self._move_to(int(given) if given else self._row + 1, 0)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._formula, self._value, self._is_shared = None, [], attributes.get("t") == "s"
        given = attributes.get("r")
        if given is None:
            self._move_to(max(1, self._row), self._column + 1)
            return
        match = _REFERENCE.fullmatch(given)
        if match is None:
            raise self._no_place(given)
        column = 0
        for letter in match[1].upper():
            column = 26 * column + ord(letter) - 64
        self._move_to(int(match[2]), column)

    def _move_to(self, row: int, column: int) -> None:
        if not (1 <= row <= _LAST_ROW and column <= _LAST_COLUMN):
            raise self._no_place(f"row {row}, column {column}")
        self._row, self._column = row, column
        if column:
            self._last_row, self._last_column = max(self._last_row, row), max(self._last_column, column)

    def _no_place(self, given: str) -> BadInputError:
        return BadInputError(
            f"{self.path}: {self.name} has a cell at {given[:40]!r}, but a sheet ends at XFD1048576. Open it and save "
            "it as .xlsx, or export it as tab-separated text in UTF-8"
        )

    def _start_formula(self, _: dict[str, str]) -> None:
        self._formula = []
        self._parser.CharacterDataHandler = self._formula.append

    def _start_value(self, _: dict[str, str]) -> None:
        # Libraries write an empty value behind a formula that they do not compute.
        if self._formula is not None or self._is_shared:
            self._value = []
            self._parser.CharacterDataHandler = self._value.append

    def _start_shared_texts(self, attributes: dict[str, str]) -> None:
        # The library makes room for as many as are promised.
        promised = attributes.get("uniqueCount", "")
        number = int(promised[:12]) if promised.isascii() and promised.isdigit() else 0
        self._num_promised = max(number, self._num_promised)

    def _start_shared_text(self, _: dict[str, str]) -> None:
        self._in_shared = True
        self._parser.CharacterDataHandler = self.texts.add_characters

    def _start_sheet(self, attributes: dict[str, str]) -> None:
        self.sheets += [value for key, value in attributes.items() if key.rpartition(":")[2] == "id"]

    def _start_relation(self, attributes: dict[str, str]) -> None:
        self.targets[attributes.get("Id", "")] = attributes.get("Target", "")

    def _end(self, tag: str) -> None:
        kind = tag.rpartition(":")[2]
        if kind == "si":
            self.texts.end_text()
            self._in_shared, self._parser.CharacterDataHandler = False, None
        if self._in_shared:
            return
        if kind in ("f", "v"):
            self._parser.CharacterDataHandler = None
        elif kind == "c" and self._is_shared:
            self.texts.refer("".join(self._value))
        if kind == "c" and self._formula is not None and not "".join(self._value):
            self.formulas[self._row, self._column] = "=" + "".join(self._formula)

    def _refuse_doctype(self, *_: Any) -> None:
        raise BadInputError(
            f"{self.path}: {self.name} has a DOCTYPE, which may declare entities and which no spreadsheet program "
            "writes. Open it and save it as .xlsx, or export it as tab-separated text in UTF-8"
        )
