"""Raw files: found under the data root, unpacked, decoded as UTF-8, cut into lines or parsed as JSON."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crosstune.artifacts import hash_file
from crosstune.errors import BadInputError

_GZIP_MAGIC = b"\x1f\x8b"


def find(patterns: Iterable[str], root: Path, where: str) -> list[Path]:
    """Return the files that paths and globs name, globs sorted, no file twice.

    Raises:
        BadInputError: when a path does not exist or a glob matches nothing; ``where`` names the setting.
    """
    found: list[Path] = []
    for pattern in patterns:
        literal = root / pattern
        try:
            matches = (
                [literal] if literal.is_file() else sorted(path for path in _glob(root, pattern) if path.is_file())
            )
        except ValueError as error:
            raise BadInputError(
                f"{where}: {pattern!r} is no path and no glob ({error}). * and ? stand for parts of a name, **/ for "
                "folders of any depth; correct the pattern"
            ) from None
        if not matches:
            raise BadInputError(f"{where}: {_nothing_found(root, pattern)}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def _glob(root: Path, pattern: str) -> Iterable[Path]:
    if not any(sign in pattern for sign in "*?["):
        return ()
    path = Path(pattern)
    if path.is_absolute():
        return Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return root.glob(pattern)


def _nothing_found(root: Path, pattern: str) -> str:
    if not root.is_dir():
        return f"{pattern!r} was looked for in {root}, which is not a folder: set data_root to the folder of your files"
    path = root / pattern
    if path.is_dir():
        return f"{path} is a folder: name its files, as {pattern.rstrip('/')}/*.json"
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    names = sorted(entry.name for entry in parent.iterdir())
    there = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    what = "no file matches" if any(sign in pattern for sign in "*?[") else "there is no file"
    return (
        f"{what} {path}. In {parent} there is: {there or 'nothing'}. "
        "Paths are relative to data_root; correct the path, or put the file there"
    )


def place(path: Path, root: Path) -> str:
    """Return how messages and origins call a file: relative to the data root where it lies in it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the hash of each file by its place, for fingerprints."""
    return {place(path, root): hash_file(path) for path in paths}


def read_text(path: Path) -> str:
    """Return a file's text, unpacked where it is gzip, without a byte order mark.

    Raises:
        BadInputError: when it cannot be read, unpacked, or decoded as UTF-8.
    """
    content = _bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(_wrong_encoding(path, content, error)) from None
    if "\0" in text[:4096]:
        raise BadInputError(f"{path} holds NUL bytes, so it is no text file in UTF-8. Convert it to UTF-8 text")
    if "\n" not in text and text.count("\r") > 1:
        # Read as it is, the whole file would be one row, and all but its first columns would be lost.
        raise BadInputError(
            f"{path} ends its lines with CR alone, as old Macs did; lines end with LF or CR LF. "
            f"Convert it with `tr '\\r' '\\n' < {path.name} > lf_{path.name}`, and name the new file in the recipe"
        )
    return text


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions") from None
    if path.suffix != ".gz" and not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise BadInputError(
            f"{path} is not a whole gzip file ({error}). Check it with `gzip -t`, and copy or download it again"
        ) from None


def _wrong_encoding(path: Path, content: bytes, error: UnicodeDecodeError) -> str:
    line = content.count(b"\n", 0, error.start) + 1
    message = f"{path} is not UTF-8: byte {content[error.start]:#04x} in line {line}. Only UTF-8 is read"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"{message}. It is UTF-16: convert it with `iconv -f utf-16 -t utf-8 {path.name} > utf8_{path.name}`"
    if content.startswith(b"PK\x03\x04"):
        return f"{message}. It is a zip archive or spreadsheet: unpack it, or export it as tab-separated text in UTF-8"
    try:
        content.decode("cp949")
    except UnicodeDecodeError:
        return f"{message}. Find out its encoding and convert it with `iconv -f ENCODING -t utf-8`"
    return (
        f"{message}. It can be read as cp949, the Korean Windows encoding: "
        f"convert it with `iconv -f cp949 -t utf-8 {path.name} > utf8_{path.name}`, and name the new file in the recipe"
    )


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, without its end.

    Only LF and CR LF end a line: str.splitlines also cuts at U+2028 and form feeds, which occur inside sentences.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def parse_json(text: str, path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        BadInputError: with the position, when the JSON breaks off or is malformed.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # A text without its closing quote runs to the end of the file.
        open_end = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        cut_off = " The file was probably cut off." if open_end else ""
        raise BadInputError(
            f"{path} is not valid JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos} of {len(text)}).{cut_off} Copy or download it again, or correct that place"
        ) from None
    except RecursionError:
        raise BadInputError(
            f"{path} is not a corpus in JSON: it is nested too deeply. Give a list of objects"
        ) from None
    except ValueError as error:
        # Python refuses integers of more than 4,300 digits, and does not say where.
        raise BadInputError(
            f"{path} holds a number that cannot be read ({error}). Shorten it or write it as text"
        ) from None
