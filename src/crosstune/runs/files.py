"""Reading and writing a run's files: atomically and safely on the disk, so that a reader sees the old or the new."""

import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosstune.errors import RunFolderError

SCORING = ".scoring_"
"""Begins the name of the temporary folder, in a run's own, of the items that are scored while a system trains."""
# As `write_text` names what it writes to: by the process, so that several do not write into one.
_UNFINISHED = re.compile(r"\..+\.[0-9]+\.tmp")


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        # A part of a file serves nobody, and would keep a full disk full.
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove the parts of files, and temporary folders, that killed processes left; for who holds the folder's lock."""
    for left in folder.glob(f"{SCORING}*"):
        shutil.rmtree(left, ignore_errors=True)
    for path in folder.rglob(".*.tmp"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(temporary: Path, folder: Path) -> None:
    """Let a finished folder take the place of another, which goes only when the new one is on the disk."""
    for path in sorted(temporary.rglob("*")):
        sync(path)
    sync(temporary)
    outdated = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        folder.rename(outdated)
    temporary.rename(folder)
    sync(folder.parent)
    shutil.rmtree(outdated, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, readable by people."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


class KeyTwiceError(ValueError):
    """An object of JSON names a key twice, so that it cannot be known which of its values is meant."""


def parse_json(text: str) -> Any:
    """Return what JSON says.

    Raises:
        KeyTwiceError: when an object has a key twice; Python would take the last value, other programs the first.
        ValueError: when it is no JSON.
    """

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            name = next(name for name in found if names.count(name) > 1)
            lines = [text.count("\n", 0, at.start()) + 1 for at in re.finditer(re.escape(json.dumps(name)), text)]
            places = f" (it stands in lines {', '.join(map(str, lines))})" if len(set(lines)) > 1 else ""
            raise KeyTwiceError(f"the key {name!r} occurs twice{places}, and which value is meant cannot be known")
        return found

    return json.loads(text, object_pairs_hook=made)


def read_json(path: Path) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises:
        RunFolderError: when it is missing or broken.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing: run the earlier stages first (crosstune run RECIPE)") from None
    except ValueError as error:
        raise RunFolderError(f"{path} is not valid JSON ({error}): delete it and run its stage again") from None


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON object per line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_whole_rows(path: Path) -> list[Any]:
    """Read a log of JSON lines that is appended to, if it is there.

    A kill or a full disk can leave a torn last line, which may end in half a character: it is left out.
    """
    if not path.is_file():
        return []
    with path.open("rb") as lines:
        return [json.loads(line) for line in lines if line.endswith(b"\n")]
