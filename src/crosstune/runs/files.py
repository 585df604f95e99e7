"""Reading and writing a run's files: atomically and safely on the disk, so that a reader sees the old or the new."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosstune.errors import RunFolderError


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


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


def read_json(path: Path) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises:
        RunFolderError: when it is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing: run the earlier stages first (crosstune run RECIPE)") from None
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path} is not valid JSON ({error}): delete it and run its stage again") from None


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON object per line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
