"""Files by name, in whatever form Unicode writes it: macOS decomposes Korean names (NFD), others do not."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_WILDCARDS = "*?["


def is_glob(pattern: str) -> bool:
    """Return whether a pattern has signs that stand for parts of names."""
    return any(sign in pattern for sign in _WILDCARDS)


def matching(root: Path, pattern: str) -> list[Path]:
    """Return the files and folders that a path or glob names, as ``Tree.matching`` does."""
    return Tree(root).matching(pattern)


class Tree:
    """Files and folders under a root, as they were when first looked at: many patterns cost one walk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # The names in a folder by their composed form: on Linux two names may differ in nothing else.
        self._names: dict[Path, dict[str, list[str]]] = {}
        self._folders_under: dict[Path, list[Path]] = {}

    def matching(self, pattern: str) -> list[Path]:
        """Return the files and folders that a path or glob names, relative to the root unless it is absolute, sorted.

        A part that is the name of something is that name, whatever signs it holds: AI-Hub's folders are called
        [라벨]한영. ``**`` stands for folders of any depth.

        Raises:
            ValueError: when the pattern can be no path.
        """
        path = Path(pattern)
        absolute = path.is_absolute()
        found, parts = ([Path(path.anchor)], path.parts[1:]) if absolute else ([self.root], path.parts)
        for part in parts:
            found = [child for folder in found for child in self._children(folder, part)]
        return sorted(dict.fromkeys(found))

    def _children(self, folder: Path, part: str) -> Iterator[Path]:
        if part == "**":
            yield from self._walked(folder)
        elif self._holds(folder, part):
            yield folder / part
        else:
            names = self._listed(folder)
            wanted = unicodedata.normalize("NFC", part)
            same = [wanted] if wanted in names else []
            if not same and is_glob(part):
                same = [name for name in names if fnmatchcase(name, wanted)] or [
                    name for name in names if fnmatchcase(name, wanted.replace("[", "[[]"))
                ]
            yield from (folder / name for composed in same for name in names[composed])

    def _holds(self, folder: Path, part: str) -> bool:
        """Return whether a folder has just this name; one that was not listed may be too large to list for it."""
        names = self._names.get(folder)
        if names is None:
            return os.path.lexists(folder / part)
        return part in names.get(unicodedata.normalize("NFC", part), ())

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names:
            self._names[folder] = _by_composed_form(os.listdir(folder) if folder.is_dir() else ())
        return self._names[folder]

    def _walked(self, root: Path) -> list[Path]:
        if root not in self._folders_under:
            self._folders_under[root] = []
            for place, folders, files in os.walk(root):
                self._folders_under[root].append(Path(place))
                self._names[Path(place)] = _by_composed_form([*folders, *files])
        return self._folders_under[root]


def _by_composed_form(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(unicodedata.normalize("NFC", name), []).append(name)
    return found
