"""Files by name, in whatever form Unicode writes it: macOS decomposes Korean names (NFD), others do not."""

import os
import unicodedata
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_WILDCARDS = "*?["


def is_glob(pattern: str) -> bool:
    """Return whether a pattern has signs that stand for parts of names."""
    return any(sign in pattern for sign in _WILDCARDS)


def matching(root: Path, pattern: str) -> list[Path]:
    """Return the files and folders that a path or glob names, relative to a root unless it is absolute, sorted.

    A part that is the name of something is that name, whatever signs it holds: AI-Hub's folders are called [라벨]한영.
    ``**`` stands for folders of any depth.

    Raises:
        ValueError: when the pattern can be no path.
    """
    path = Path(pattern)
    found, parts = ([Path(path.anchor)], path.parts[1:]) if path.is_absolute() else ([root], path.parts)
    for part in parts:
        found = [child for folder in found for child in _children(folder, part)]
    return sorted(dict.fromkeys(found))


def _children(folder: Path, part: str) -> Iterator[Path]:
    if part == "**":
        for place, _, _ in os.walk(folder):
            yield Path(place)
    elif os.path.lexists(folder / part):
        yield folder / part
    elif folder.is_dir():
        names = {name: unicodedata.normalize("NFC", name) for name in os.listdir(folder)}
        wanted = unicodedata.normalize("NFC", part)
        same = [name for name, composed in names.items() if composed == wanted]
        if not same and is_glob(part):
            same = [name for name, composed in names.items() if fnmatchcase(composed, wanted)] or [
                name for name, composed in names.items() if fnmatchcase(composed, wanted.replace("[", "[[]"))
            ]
        yield from (folder / name for name in same)
