"""The files of a folder; what in it holds none of the user's data, or cannot be read, is named and not looked into."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

from crosstune.data.files import place
from crosstune.init.found import FoundFile

# What lies in a folder that programs keep for themselves -> what it is.
_MARKS = {"pyvenv.cfg": "a Python environment", "run.json": "a run of crosstune"}
_NAMES = {"__pycache__": "compiled Python", "node_modules": "packages of JavaScript"}


@dataclass(frozen=True)
class Walked:
    """What lies under a folder.

    Attributes:
        files: that can be read, in a fixed order; hidden ones are left out.
        left_out: files and folders that are not looked into, with the reasons.
    """

    files: list[Path]
    left_out: list[FoundFile]


def walk(root: Path) -> Walked:
    """Return every file under a folder, and what is left out."""
    files: list[Path] = []
    left_out: dict[Path, str] = {}

    def cannot_read(error: OSError) -> None:
        left_out[Path(error.filename)] = f"a folder that cannot be read ({error.strerror})"

    for folder, names, found in os.walk(root, onerror=cannot_read):
        here = Path(folder)
        faults = {here / name: _fault_of_folder(here / name) for name in names if not name.startswith(".")}
        names[:] = sorted(path.name for path, fault in faults.items() if not fault)
        faults |= {here / name: _fault_of_file(here / name) for name in sorted(found) if not name.startswith(".")}
        left_out |= {path: fault for path, fault in faults.items() if fault}
        files += [path for path, fault in faults.items() if not fault and path.name not in names]
    return Walked(files, [*_named(left_out, root)])


def _named(left_out: dict[Path, str], root: Path) -> Iterator[FoundFile]:
    for path, reason in left_out.items():
        # A name that no text can hold is shown by its bytes.
        name = place(path, root)
        yield FoundFile(name if not _fault_of_name(path) else ascii(name), reason=reason)


def _fault_of_folder(path: Path) -> str:
    if fault := _fault_of_name(path):
        return fault
    if path.is_symlink():
        return "a link to a folder: give that folder as DIR, or copy it"
    if path.name in _NAMES:
        return _NAMES[path.name]
    return next((what for name, what in _MARKS.items() if os.path.lexists(path / name)), "")


def _fault_of_file(path: Path) -> str:
    if fault := _fault_of_name(path):
        return fault
    try:
        status = path.stat()
        # To open a pipe would wait for somebody who writes.
        if not stat.S_ISREG(status.st_mode):
            return "a pipe, a socket or a device"
        with path.open("rb"):
            return "" if status.st_size else "empty"
    except FileNotFoundError:
        return "a link to a file that is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _fault_of_name(path: Path) -> str:
    """Return why a name cannot stand in a recipe."""
    is_bad = any(category(letter) in ("Cc", "Cs") for letter in path.name)
    return "its name is not UTF-8, or holds a control character: rename it" if is_bad else ""
