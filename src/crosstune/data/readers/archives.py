"""Zip archives of corpus files, as AI-Hub hands them out: each file in one is read as if it lay beside it."""

import lzma
import stat
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from crosstune.errors import BadInputError

# The second begins an archive with nothing in it.
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# Spreadsheets are archives, too: Office's and OpenDocument's.
_SPREADSHEET_PARTS = {"[content_types].xml", "xl/workbook.xml", "xl/workbook.bin", "mimetype"}
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".egg", ".alz")
_UTF8_NAME = 0x800
# What zipfile raises for an archive that is not whole. RuntimeError: encrypted, or of a version or a compression that
# it does not know. OSError, ValueError: a damaged table of contents sends it outside the file.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError)


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        archive: where the archive lies.
        name: as the archive has it.
        shown: as its author wrote it, for messages and origins.
    """

    archive: Path
    name: str
    shown: str


def members(path: Path) -> list[Member]:
    """Return the files in an archive, sorted; none if it is no archive, or a spreadsheet.

    Raises:
        BadInputError: when the archive is damaged or holds no file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) not in _MAGIC:
                return []
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions") from None
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except DAMAGED as error:
        if path.suffix.lower() != ".zip":
            return []  # A damaged spreadsheet: its reader says so.
        raise BadInputError(
            f"{path} is not a complete zip archive: {error}. Check it with `unzip -t`, and copy or download it again"
        ) from None
    if any(entry.filename.lower() in _SPREADSHEET_PARTS for entry in found):
        return []
    # Files that macOS and other programs add for themselves.
    names = [(_shown(entry), entry) for entry in found if not entry.is_dir()]
    own = [
        (shown, entry)
        for shown, entry in names
        if not any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in shown.split("/"))
    ]
    if not own:
        raise BadInputError(f"{path} is a zip archive without a file in it. Give an archive of corpus files")
    if nested := [shown for shown, _ in own if shown.lower().endswith(_ARCHIVES)]:
        raise BadInputError(
            f"{path} holds another archive ({', '.join(nested[:3])}): unpack it, and name what it holds in the recipe"
        )
    if links := [shown for shown, entry in own if stat.S_ISLNK(entry.external_attr >> 16)]:
        raise BadInputError(
            f"{path} holds a symbolic link, which is no file ({', '.join(links[:3])}): unpack it, and name the files "
            "that are meant in the recipe"
        )
    counts = Counter(entry.filename for entry in found)
    if twice := [shown for shown, entry in own if counts[entry.filename] > 1]:
        raise BadInputError(
            f"{path} holds {twice[0]} twice, and which is meant cannot be known: unpack it, and name the files that "
            "are meant in the recipe"
        )
    return [Member(path, entry.filename, shown) for shown, entry in sorted(own, key=lambda one: one[0])]


def _shown(entry: zipfile.ZipInfo) -> str:
    """Return a member's name as it was written: without a flag, Korean Windows writes cp949."""
    if entry.flag_bits & _UTF8_NAME:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("cp949")
    except UnicodeError:
        return entry.filename
