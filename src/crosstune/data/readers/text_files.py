"""Text files: decoded line by line in constant memory, each line with its number and, if need be, its problem."""

from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from crosstune.data.readers.archives import Member
from crosstune.data.readers.unpack import open_unpacked, read_bytes
from crosstune.errors import BadInputError

# A novel has about a million bytes: a longer line is a file without line ends, or a damaged one.
MAX_LINE_BYTES = 2**26
_START_BYTES = 2**16
CHUNK_BYTES = 2**20
# The longer marks first: one begins as another does.
_WIDE = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHER_KINDS = {
    b"BZh": "packed by bzip2. Unpack it (bunzip2)",
    b"\xfd7zXZ\0": "packed by xz. Unpack it (unxz)",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive. Unpack it",
    b"Rar!": "a RAR archive. Unpack it",
    b"%PDF": "a PDF. Convert it to text",
    b"\xd0\xcf\x11\xe0": "a document of an old Office or of Hangul (.xls, .doc, .hwp). Convert it to .xlsx or text",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Fetch it with `git lfs pull`",
    b"ARROW1": "an Arrow file. Convert it to Parquet",
    b"SQLite format 3": "a SQLite database. Write its table to a file",
}
_WEB_PAGE = (b"<!doctype html", b"<html")


class Line(NamedTuple):
    """A line without its end; ``problem`` says why its text is not what the file meant."""

    number: int
    text: str
    problem: str = ""


@dataclass(frozen=True)
class TextFile:
    """A text file as the recipe names it.

    Attributes:
        path: where it lies; gzip and Zstandard are unpacked.
        name: how origins call it.
        encoding: a superset of ASCII, so that the byte of a line feed is one.
        packed: the file in an archive, if it is one; ``path`` names it as if the archive were a folder.
    """

    path: Path
    name: str
    encoding: str = "utf-8"
    packed: Member | None = None

    @property
    def start(self) -> str:
        """The first characters, for finding out the format."""
        # A character may be cut at the end; one that is wrong is found when its line is read.
        return self._first_bytes.decode(self._codec, "replace")

    def refuse_undecodable_header(self) -> None:
        """Stop where the first line has another encoding: what it names would not be found in it.

        Raises:
            BadInputError: when it cannot be decoded.
        """
        first_line = self._first_bytes.partition(b"\n")[0]
        try:
            # It may be cut, within a character.
            getincrementaldecoder(self._codec)().decode(first_line)
        except UnicodeDecodeError as error:
            raise BadInputError(self._wrong_encoding(first_line, error, 1)) from None

    @property
    def is_blank(self) -> bool:
        """Whether the file holds nothing but white space."""
        return len(self._first_bytes) < _START_BYTES and not self.start.strip()

    def lines(self) -> Iterator[Line]:
        """Yield the lines; only LF and CR LF end one.

        str.splitlines also cuts at U+2028 and form feeds, which occur inside sentences.

        Raises:
            BadInputError: when most of the file has another encoding, or it is no text.
        """
        if not self._first_bytes:
            return
        codec, number = self._codec, 0
        with open_unpacked(self.path, self.packed) as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if number == 2:
                    codec = self.encoding  # Only the first line may begin with a byte order mark.
                if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    _skip_line(file)
                    limit = f"longer than {MAX_LINE_BYTES:,} bytes; end each document or row with a line feed"
                    yield Line(number, raw[:300].decode(codec, "ignore"), limit)
                else:
                    yield self._line(raw.removesuffix(b"\n").removesuffix(b"\r"), codec, number)

    def chunks(self) -> Iterator[str]:
        """Yield the text in parts, in constant memory.

        Raises:
            BadInputError: when it cannot be decoded.
        """
        if not self._first_bytes:
            return
        decoder, number = getincrementaldecoder(self._codec)(), 1
        with open_unpacked(self.path, self.packed) as file:
            is_open = True
            while is_open:
                raw = file.read(CHUNK_BYTES)
                is_open = bool(raw)
                try:
                    text = decoder.decode(raw, final=not is_open)
                except UnicodeDecodeError as error:
                    line = number + error.object.count(b"\n", 0, error.start)
                    raise BadInputError(self._wrong_encoding(error.object, error, line)) from None
                number += text.count("\n")
                # The decoder may hold all of it back: a character that the end of the part cuts in two.
                if text:
                    yield text

    def text(self) -> str:
        """Return the whole text, for formats that are parsed as a whole.

        Raises:
            BadInputError: when it cannot be decoded, or is too large to be parsed as a whole.
        """
        content = read_bytes(self.path, self.packed) if self._first_bytes else b""
        try:
            return content.decode(self._codec)
        except UnicodeDecodeError as error:
            number = content.count(b"\n", 0, error.start) + 1
            raise BadInputError(self._wrong_encoding(content, error, number)) from None

    def _line(self, raw: bytes, codec: str, number: int) -> Line:
        try:
            return Line(number, raw.decode(codec))
        except UnicodeDecodeError as error:
            if self._is_mostly_undecodable:
                raise BadInputError(self._wrong_encoding(raw, error, number)) from None
            found = f"{self._not_decodable(raw, error)}, but most lines of the file are {self.encoding}"
            return Line(number, raw.decode(codec, "backslashreplace"), f"{found}. Convert this line")

    @property
    def _codec(self) -> str:
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding

    @cached_property
    def _first_bytes(self) -> bytes:
        """The first bytes; refuses what is no text in a superset of ASCII, and lines that end with CR alone."""
        path = self.path
        with open_unpacked(path, self.packed) as file:
            content = file.read(_START_BYTES)
        if wide := _wide_encoding(content[:4096]):
            raise BadInputError(
                f"{path} is not {self.encoding}: it is {wide.upper()}. Convert it with "
                f"`iconv -f {wide} -t utf-8 {path.name} > utf8_{path.name}`, and name the new file in the recipe"
            )
        if other := _other_kind(content):
            raise BadInputError(f"{path} is not a text file: it is {other}, and name what comes of it in the recipe")
        if content.startswith(b"PK\x03\x04"):
            raise BadInputError(
                f"{path} is not a text file: it is a zip archive or spreadsheet. Unpack it, or set `format: xlsx`"
            )
        if b"\0" in content[:4096]:
            raise BadInputError(
                f"{path} holds NUL bytes, so it is not a text file in {self.encoding}. Convert it to UTF-8 text"
            )
        if b"\n" not in content and content.count(b"\r") > 1:
            # Read as it is, the whole file would be one row, and all but its first columns would be lost.
            raise BadInputError(
                f"{path} ends its lines with CR alone, as old Macs did; lines end with LF or CR LF. "
                f"Convert it with `tr '\\r' '\\n' < {path.name} > lf_{path.name}`, and name the new file in the recipe"
            )
        return content

    @cached_property
    def _is_mostly_undecodable(self) -> bool:
        """Whether more lines are damaged than are proof of the encoding: lines beyond ASCII that can be decoded."""
        num_wrong = num_right = 0
        with open_unpacked(self.path, self.packed) as file:
            while raw := file.readline(MAX_LINE_BYTES):
                if not raw.isascii():
                    wrong = not _is_decodable(raw, self._codec)
                    num_wrong, num_right = num_wrong + wrong, num_right + (not wrong)
        return num_wrong > num_right

    def _not_decodable(self, raw: bytes, error: UnicodeDecodeError) -> str:
        found = f"not {self.encoding}: byte {error.object[error.start]:#04x} at byte {error.start + 1} of the line"
        if self.encoding == "utf-8" and _reads_as_korean(raw):
            found += " (it can be read as cp949, the Korean Windows encoding)"
        return found

    def _wrong_encoding(self, raw: bytes, error: UnicodeDecodeError, number: int) -> str:
        name = self.path.name
        message = f"{self.path} is not {self.encoding}: byte {error.object[error.start]:#04x} in line {number}"
        if self.encoding == "utf-8" and _reads_as_korean(raw):
            return (
                f"{message}. It can be read as cp949, the Korean Windows encoding: set `encoding: cp949` for "
                f"it in the recipe, or convert it with `iconv -f cp949 -t utf-8 {name} > utf8_{name}` and name the new "
                "file in the recipe"
            )
        return (
            f"{message}. Find out its encoding (Western texts of Windows are often cp1252) and name it as its "
            "`encoding` in the recipe, or convert it with `iconv -f ENCODING -t utf-8`"
        )


def _wide_encoding(content: bytes) -> str | None:
    """Return which encoding of two or four bytes a character this is, with a byte order mark or by its zeros."""
    for mark, name in _WIDE.items():
        if content.startswith(mark):
            return name
    zeros = [content[place::2].count(0) for place in (0, 1)]
    # Spaces and line ends have one zero each, always in the same place.
    if sum(zeros) and min(zeros) == 0 and len(content) % 2 == 0:
        name = "utf-16be" if zeros[0] else "utf-16le"
        decoded = content.decode(name, "replace")
        return name if "\ufffd" not in decoded[:-1] and (" " in decoded or "\n" in decoded) else None
    return None


def _other_kind(content: bytes) -> str | None:
    if content[257:262] == b"ustar":
        return "a tar archive. Unpack it"
    if content[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGE):
        return "a web page, as a failed download leaves one. Open it in a browser and look, download the file again"
    return next((kind for magic, kind in _OTHER_KINDS.items() if content.startswith(magic)), None)


def _skip_line(file: BinaryIO) -> None:
    """Read to the end of a line without keeping it."""
    while (part := file.readline(2**20)) and not part.endswith(b"\n"):
        pass


def _is_decodable(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _reads_as_korean(raw: bytes) -> bool:
    """Return whether bytes, which the end of what was read may cut, are ordinary Korean in cp949.

    It decodes the apostrophe of cp1252 and the letter after it, too: "It뭩 late". No Korean text has such syllables.
    """
    try:
        text = getincrementaldecoder("cp949")().decode(raw)
    except UnicodeDecodeError:
        return False
    others = [character for character in text if not character.isascii()]
    # Python's euc_kr spells a syllable that is not in KS X 1001 with eight bytes.
    common = [one for one in others if "가" <= one <= "힣" and len(one.encode("euc_kr")) == 2]
    return 2 * len(common) > len(others)
