"""Raw files: found under the data root, named in messages, hashed for fingerprints."""

from collections.abc import Iterable
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.runs.hashes import hash_file


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
