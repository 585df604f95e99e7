"""Overlap with evaluation sets: a training row that holds an evaluation text, whole or in a long stretch."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import regex

from crosstune.prompts.cleaning import normalised
from crosstune.runs.files import read_jsonl

Kind = Literal["parallel", "instructions", "text"]

# Shorter sentences ("Thank you.") occur in any book and give nothing of an evaluation set away.
MIN_OVERLAP_CHARACTERS = 15

_SENTENCE_END = regex.compile(r"(?<=[.!?。！？])\s+|(?<=[.!?。！？][\"'”’)])\s+|\n")
# The parts of an evaluation item that are no text of its own: HellaSwag's ctx_b is often just "he".
_NO_TEXTS = {"id", "origin", "label", "question", "activity_label", "ctx_b"}
# Scripts written without spaces count by character, all others by word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNIT = regex.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+", flags=regex.V1)
# The same for most English and Korean texts, by the standard library's expressions: three times as fast.
_PLAIN = re.compile("[\0-\x7f\uac00-\ud7a3]*")
_PLAIN_UNIT = re.compile("[a-z0-9\uac00-\ud7a3]+")
_HAS_UNSPACED = regex.compile(rf"[{_UNSPACED}]")


class Match(NamedTuple):
    """Where a training row meets an evaluation set: the set, its text, and whether only a stretch of it is shared."""

    evaluation_set: str
    text: str
    is_stretch: bool


class EvaluationTexts:
    """The texts of all evaluation sets of a recipe, to be found in training rows.

    A text is found whole after normalisation, in documents also as one of their lines or sentences; and by any run of
    ``ngram`` words (characters, in scripts without spaces), as GPT-3's authors did with 13 words (Brown et al. 2020,
    appendix C, https://arxiv.org/abs/2005.14165).
    """

    def __init__(self, texts: Mapping[str, str], ngram: int | None) -> None:
        """Take normalised texts, each with the name of its set."""
        self._texts = dict(texts)
        self._ngram = ngram
        self._known: dict[str, int] = {}
        self._grams: dict[tuple[int, ...], str] = {}
        for text in self._texts if ngram else ():
            units = [self._known.setdefault(unit, len(self._known)) for unit in _units(text)]
            for gram in _grams(units, ngram or 0):
                self._grams.setdefault(gram, text)

    @classmethod
    def read(cls, folders: Iterable[Path], ngram: int | None) -> "EvaluationTexts":
        """Read the written evaluation sets."""
        found: dict[str, str] = {}
        for folder in folders:
            for item in read_jsonl(folder / "items.jsonl"):
                texts = [item[key] for key in item if key not in _NO_TEXTS]
                if "ctx_a" in item:
                    texts.append(f"{item['ctx_a']} {item['ctx_b']}")
                for text in texts:
                    for part in text if isinstance(text, list) else [text]:
                        found.setdefault(normalised(part), folder.name)
        found.pop("", None)
        return cls(found, ngram)

    def find(self, texts: Mapping[str, str], kind: Kind) -> Match | None:
        """Return the first evaluation text that a row shares."""
        for text in texts.values():
            whole = normalised(text)
            match = self._whole(whole) or (self._in_document(text) if kind == "text" else None) or self._stretch(whole)
            if match:
                return match
        return None

    def _whole(self, text: str) -> Match | None:
        name = self._texts.get(text)
        return Match(name, text, False) if name else None

    def _in_document(self, document: str) -> Match | None:
        # Lines as well as sentences: an evaluation text may itself hold several sentences.
        for line in document.split("\n"):
            for part in (line, *_SENTENCE_END.split(line)):
                if len(part) >= MIN_OVERLAP_CHARACTERS:
                    key = normalised(part)
                    if len(key) >= MIN_OVERLAP_CHARACTERS and key in self._texts:
                        return Match(self._texts[key], key, False)
        return None

    def _stretch(self, text: str) -> Match | None:
        n = self._ngram
        # Most rows are too short: seen without cutting them into words.
        if not self._grams or n is None or (text.count(" ") < n - 1 and not _HAS_UNSPACED.search(text)):
            return None
        known = self._known
        units = [known.get(unit, -1) for unit in _units(text)]
        for gram in _grams(units, n):
            if gram in self._grams:
                found = self._grams[gram]
                return Match(self._texts[found], found, True)
        return None


def _units(text: str) -> list[str]:
    text = text.lower()
    units: list[str] = (_PLAIN_UNIT if _PLAIN.fullmatch(text) else _UNIT).findall(text)
    return units


def _grams(units: list[int], n: int) -> Iterator[tuple[int, ...]]:
    for first in range(len(units) - n + 1):
        yield tuple(units[first : first + n])
