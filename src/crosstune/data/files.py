"""Files of the data root: found by path or glob, opened as UTF-8 text, with .gz unpacked."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError


def find_files(root: Path, patterns: Sequence[str], asked_by: str) -> list[Path]:
    """Return the files that paths and globs relative to the data root name, sorted within a glob.

    Raises:
        BadInputError: when one names nothing.
    """
    if not root.is_dir():
        raise BadInputError(f"data_root: there is no folder {root}; give the folder of your files (data_root=DIR)")
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(path for path in root.glob(pattern) if path.is_file())
        if not matches:
            beside = sorted(path.name for path in (root / pattern).parent.glob("*"))[:10]
            raise BadInputError(
                f"{asked_by}: no file {pattern!r} under {root}; in that folder there is: "
                f"{', '.join(beside) or 'nothing'}"
            )
        found.extend(matches)
    return found


def read_text(path: Path) -> str:
    """Return a file's whole text.

    Raises:
        BadInputError: when it is not UTF-8, or not the gzip file that its name says.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise BadInputError(
                f"{path}: cannot be unpacked as gzip ({error}): fetch it again, or unpack it yourself"
            ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(_encoding_message(path, content, error)) from None


def _encoding_message(path: Path, content: bytes, error: UnicodeDecodeError) -> str:
    line = content.count(b"\n", 0, error.start) + 1
    try:
        content.decode("cp949")
    except UnicodeDecodeError:
        return f"{path}:{line}: not UTF-8 (byte {content[error.start]:#04x}): crosstune reads UTF-8; convert the file"
    return (
        f"{path}:{line}: this looks like cp949 (EUC-KR), common in Korea; crosstune reads UTF-8. Convert it: "
        f"iconv -f cp949 -t utf-8 {path.name} > converted, and name that file in the recipe"
    )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) for lines that are not empty."""
    # io.StringIO splits at \n only; str.splitlines would also split at U+2028 and others inside a text.
    for number, line in enumerate(io.StringIO(read_text(path), newline="\n"), start=1):
        stripped = line.rstrip("\r\n")
        if stripped.strip():
            yield number, stripped


def read_json_file(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        BadInputError: with line and column of the mistake.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"{path}:{error.lineno}: not valid JSON at column {error.colno} ({error.msg}); is the file cut short?"
        ) from None
