"""Under which names a benchmark's files are published, so that `crosstune score` finds them in any folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crosstune.languages.registry import codes_of, language_name

# What publishers call a language that CLDR calls otherwise: Bangla, Filipino.
_OTHER_NAMES = {"bn": ("Bengali",), "fil": ("Tagalog",)}

Suite = Literal["paper", "korean", "multilingual", "chat"]
Split = Literal["test", "dev"]


@dataclass(frozen=True)
class Published:
    """The files of a benchmark, as globs: several are several ways of publishing the same.

    In a glob, ``{language}`` stands for the language's usual code, as ``ko``, ``{iso3}`` for one of three letters, as
    ``kor``, ``{flores}`` for one with its script, as ``kor_Hang``, ``{name}`` for its English name, and ``{part}`` for
    each of ``parts``.

    Attributes:
        dev: its development files, where it has a split of that name; others have the same files for both.
        parts: what it comes in; it is scored when all of them are there.
        several: whether a glob stands for many files.
        settings: what the recipe's task gets.
        alternative: the task that may stand in its place.
        label: what the task is called; its name, if empty.
    """

    suite: Suite
    test: tuple[str, ...]
    dev: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("",)
    several: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    alternative: str = ""
    label: str = ""

    def ways(self, split: Split, languages: Sequence[str]) -> list["Way"]:
        """Return each way of publishing: its files, language by language."""
        named = self.dev or self.test if split == "dev" else self.test
        # What the hub itself converts to Parquet has a folder for each split, such as test/0000.parquet.
        globs = [*named, *(glob.replace("-*.parquet", "/*.parquet") for glob in named if glob.endswith("-*.parquet"))]
        pairs = [(part, language) for language in languages for part in self.parts]
        # A file that holds all languages is one file.
        return [
            list(dict.fromkeys(_spellings(glob.replace("{part}", part), language) for part, language in pairs))
            for glob in globs
        ]


Way = list[tuple[str, ...]]
"""The files of one way of publishing: for each, the globs that it may go by, as a language has several codes."""


def _spellings(glob: str, language: str) -> tuple[str, ...]:
    codes = sorted(codes_of(language))
    named = {
        "{language}": [language],
        "{name}": [language_name(language, "en"), *_OTHER_NAMES.get(language, ())],
        "{iso3}": [code for code in codes if len(code) == 3] or [language],
        "{flores}": [code for code in codes if "_" in code] or [language],
    }
    found = [glob]
    for place, ways in named.items():
        found = [one.replace(place, way) for one in found for way in (ways if place in one else [""])]
    return tuple(found)
