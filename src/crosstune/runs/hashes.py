"""What files hold: hashes of their content, remembered for large ones, and lists of them that a later step checks."""

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

MODEL_CARD = "README.md"
FileFacts = Mapping[str, Mapping[str, int | str]]
"""Size and SHA-256 of each file of a folder, by its path in it."""
# Smaller files are read in less time than the cache takes.
_REMEMBERED_FROM_BYTES = 1_000_000
# A file that was written a moment ago may be written again within one tick of the clock that its times are read from.
SETTLED_AFTER_NS = 2_000_000_000


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    That of a large file is remembered under the user's cache folder, and holds until its size, times, or place on the
    disk change; the time of the last change of any kind (ctime) is among them, which no program can set back.
    """
    before = path.stat()
    if before.st_size < _REMEMBERED_FROM_BYTES:
        return digest_of(path)
    state, entry = _state(before), _cache_folder() / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    with contextlib.suppress(OSError, ValueError):
        known, digest = entry.read_text(encoding="ascii").split("\n")
        if known == state and len(digest) == 64:
            return digest
    digest = digest_of(path)
    settled = time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) > SETTLED_AFTER_NS
    if settled and _state(path.stat()) == state:
        with contextlib.suppress(OSError):  # A machine without a writable home hashes again.
            entry.parent.mkdir(parents=True, exist_ok=True)
            temporary = entry.with_name(f"{entry.name}.{os.getpid()}")
            temporary.write_text(f"{state}\n{digest}", encoding="ascii")
            temporary.replace(entry)
    return digest


def hash_model(path: Path) -> str:
    """Return a hash of the content of a model folder, or of a model file.

    The model card is left out: it is written again whenever the model is scored. So are hidden files, in which hub
    clients note their downloads.
    """
    digest = hashlib.sha256()
    for name, facts in describe_files(path, without=(MODEL_CARD,)).items():
        digest.update(f"{name} {facts['sha256']}\n".encode())
    return digest.hexdigest()


def describe_files(folder: Path, without: tuple[str, ...] = ()) -> dict[str, dict[str, int | str]]:
    """Return size and hash of every file in a folder, but for hidden ones and those named; of a file, its own."""
    if folder.is_file():
        return {folder.name: {"bytes": folder.stat().st_size, "sha256": hash_file(folder)}}
    found: dict[str, dict[str, int | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and str(name) not in without and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    return found


def damage_to(folder: Path, wanted: FileFacts) -> list[str]:
    """Return what became of the files that a folder should hold: those that are missing, cut off or changed.

    Where the only one is named as the folder, it is that file itself, as `describe_files` describes one.
    """
    found = []
    place = folder.parent if tuple(wanted) == (folder.name,) and not folder.is_dir() else folder
    for name, facts in wanted.items():
        path = place / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif (size := path.stat().st_size) != facts["bytes"]:
            found.append(f"{name} has {size:,} bytes instead of {facts['bytes']:,}")
        elif hash_file(path) != facts["sha256"]:
            found.append(f"{name} has other content than was written")
    return found


def digest_of(path: Path) -> str:
    """Return the SHA-256 of what a file holds now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_dev} {status.st_ino}"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crosstune" / "hashes"
