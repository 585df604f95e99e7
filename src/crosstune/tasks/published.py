"""Under which names a benchmark's files are published, so that `crosstune score` finds them in any folder."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from crosstune.languages.declared import names_of
from crosstune.languages.registry import codes_of

Suite = Literal["paper", "korean", "multilingual", "chat"]
Split = Literal["test", "dev"]


@dataclass(frozen=True)
class Published:
    """The files of a benchmark, as globs: several are several ways of publishing the same.

    In a glob, ``{language}`` stands for the language's usual code, as ``ko``, ``{iso3}`` for one of three letters, as
    ``kor``, ``{region}`` for one that may name its script or region, as ``zho-CN``, ``{flores}`` for one with its
    script, as ``kor_Hang``, ``{name}`` for its English name, and ``{part}`` for each of ``parts``.

    Attributes:
        dev: its development files, where it has a split of that name; others have the same files for both.
        parts: what it comes in; it is scored when all of them are there.
        codes: what some of its files call each part, ``{code}`` in a glob.
        several: whether a glob stands for many files.
        settings: what the recipe's task gets.
        alternative: the task that may stand in its place.
        label: what the task is called; its name, if empty.
    """

    suite: Suite
    test: tuple[str, ...]
    dev: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("",)
    codes: tuple[str, ...] = ("",)
    several: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    alternative: str = ""
    label: str = ""

    def ways(self, split: Split, languages: Sequence[str]) -> list["Way"]:
        """Return each way of publishing: its files, language by language."""
        globs = _with_conversions(self.dev or self.test if split == "dev" else self.test)
        parts = [*itertools.zip_longest(self.parts, self.codes, fillvalue="")]
        pairs = [(part, language) for language in languages for part in parts]
        # A file that holds all languages is one file.
        return [
            list(
                dict.fromkeys(
                    _spellings(glob.replace("{part}", part).replace("{code}", code), language)
                    for (part, code), language in pairs
                )
            )
            for glob in globs
        ]

    def language_in(self, path: str) -> str:
        """Return what stands at the language's place in a file's path, if it is one of the published ones."""
        for glob in _with_conversions((*self.test, *self.dev)):
            match = _place_of_language(glob).search(path) if _LANGUAGE.search(glob) else None
            if match:
                return match["language"]
        return ""


def _with_conversions(globs: Sequence[str]) -> list[str]:
    # What the hub itself converts to Parquet has a folder for each split, such as test/0000.parquet.
    return [*globs, *(glob.replace("-*.parquet", "/*.parquet") for glob in globs if glob.endswith("-*.parquet"))]


_LANGUAGE = re.compile(r"\*?\{(?:language|iso3|region|flores|name)\}")


@cache
def _place_of_language(glob: str) -> "re.Pattern[str]":
    before, after = _LANGUAGE.split(glob, maxsplit=1)
    around = [
        re.escape(part).replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        for part in (before, _LANGUAGE.sub("*", after))
    ]
    return re.compile(f"(?:^|/){around[0]}(?P<language>[^/]+?){around[1]}$")


Way = list[tuple[str, ...]]
"""The files of one way of publishing: for each, the globs that it may go by, as a language has several codes."""


# Files that name a script or region though no other one of the language is there, and the usual form of several.
_WITH_REGION = {"zh": "zho-CN", "zh-Hant": "zho-TW", "zh-TW": "zho-TW", "sr": "srp-Cyrl", "no": "nob", "az": "aze-Latn"}
_WITH_REGION |= {"ckb": "ckb-Arab", "sd": "snd-Arab", "sn": "sna-Latn", "tg": "tgk-Cyrl"}


def _spellings(glob: str, code: str) -> tuple[str, ...]:
    named = {
        "{language}": [code],
        "{name}": names_of(code),
        "{iso3}": _of_three_letters(code) or [code],
        "{region}": _with_region(code),
        "{flores}": [one for one in sorted(codes_of(code)) if "_" in one] or [code],
    }
    found = [glob]
    for place, ways in named.items():
        found = [one.replace(place, way) for one in found for way in (ways if place in one else [""])]
    return tuple(found)


def _of_three_letters(code: str) -> list[str]:
    return [one for one in sorted(codes_of(code)) if len(one) == 3]


def _with_region(code: str) -> list[str]:
    """Return a language's codes of three letters, with the script or region if it names one: por beside por-BR."""
    first, *rest = code.split("-")
    if code in _WITH_REGION:
        return [_WITH_REGION[code]]
    return ["-".join([one, *rest]) for one in _of_three_letters(first) or [first]]
