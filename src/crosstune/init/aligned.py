"""Two text files whose lines belong together: a translation line by line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from crosstune.init.found import FoundFile
from crosstune.languages.registry import codes_of
from crosstune.recipe import Languages

_LEAST_LINES = 20
_ROLES = frozenset({"src", "source", "ref", "trg", "tgt", "target"})


@dataclass(frozen=True)
class Aligned:
    """A pair of files, the source language first."""

    source: FoundFile
    target: FoundFile


def aligned_files(files: Iterable[FoundFile], languages: Languages) -> list[Aligned]:
    """Return the pairs of text files in one folder that have as many lines, and names that differ by language alone."""
    texts = [file for file in files if file.kind == "text" and file.rows >= _LEAST_LINES]
    pairs = []
    for first in (file for file in texts if file.language == languages.source):
        others = [
            other
            for other in texts
            if other.language == languages.target
            and other.rows == first.rows
            and _stem(other.name, languages) == _stem(first.name, languages)
        ]
        if len(others) == 1:
            pairs.append(Aligned(first, others[0]))
    return pairs


def _stem(name: str, languages: Languages) -> tuple[str, tuple[str, ...]]:
    """Return a file's folder, and the parts of its name that are no language and no role."""
    path = PurePosixPath(name)
    codes = {code.lower() for one in (languages.source, languages.target) for code in codes_of(one)}
    parts = re.split(r"[._-]", path.name.lower())
    return str(path.parent), tuple(part for part in parts if part not in codes | _ROLES)
