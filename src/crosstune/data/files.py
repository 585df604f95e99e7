"""Raw files: found under the data root, named in messages, hashed for fingerprints."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.runs.hashes import hash_file
from crosstune.runs.named_files import is_glob, matching


def find(patterns: Iterable[str], root: Path, where: str) -> list[Path]:
    """Return the files that paths and globs name, globs sorted, no file twice.

    Raises:
        BadInputError: when a path does not exist or a glob matches nothing; ``where`` names the setting.
    """
    found: list[Path] = []
    for pattern in patterns:
        try:
            matches = [path for path in matching(root, pattern) if path.is_file()]
        except ValueError as error:
            raise BadInputError(
                f"{where}: {pattern!r} is neither a path nor a glob ({error}). * and ? match parts of a name, **/ "
                f"matches folders of any depth; correct the pattern"
            ) from None
        if not matches:
            raise BadInputError(f"{where}: {_nothing_found(root, pattern)}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def _nothing_found(root: Path, pattern: str) -> str:
    if not root.is_dir():
        return f"{pattern!r} was looked for in {root}, which is not a folder: set data_root to the folder of your files"
    path = root / pattern
    if any(found.is_dir() for found in matching(root, pattern)) and not is_glob(pattern):
        return f"{path} is a folder: name its files, as {pattern.rstrip('/')}/*.json"
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    names = sorted(entry.name for entry in parent.iterdir())
    there = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    what = "no file matches" if is_glob(pattern) else "there is no file"
    return (
        f"{what} {path}. In {parent} there is: {there or 'nothing'}. "
        "Paths are relative to data_root; correct the path, or put the file there"
    )


def place(path: Path, root: Path) -> str:
    """Return how messages and origins call a file: relative to the data root where it lies in it, in NFC."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return unicodedata.normalize("NFC", name)


def hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the hash of each file by its place, for fingerprints."""
    return {place(path, root): hash_file(path) for path in paths}


def refuse_changed(paths: Iterable[Path], root: Path, before: Mapping[str, str]) -> None:
    """Refuse files that were changed since they were hashed, for what was read of them is not what the hash says.

    Raises:
        BadInputError: when one has other content now.
    """
    changed = [name for name, found in hashes(paths, root).items() if before[name] != found]
    if changed:
        raise BadInputError(
            f"{', '.join(changed)} was changed while it was read, so what was read is neither its old content nor its "
            "new. Make sure that nothing writes to it, and run the command again"
        )
