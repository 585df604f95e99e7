"""What a training row is checked for: empty texts, identical sides, evaluation texts, duplicates."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from crosstune.artifacts import read_jsonl
from crosstune.data.rows import Drops, Row

Kind = Literal["parallel", "instructions", "text"]

Seen = dict[tuple[str, ...], tuple[str, str]]
"""Normalised texts of a row -> source and origin of the first row with them."""

EMPTY = "empty"
IDENTICAL = "identical sides"
OVERLAP = "evaluation overlap"
DUPLICATE = "duplicate"

# Shorter sentences ("Thank you.") occur in any book and give nothing of an evaluation set away.
MIN_OVERLAP_CHARACTERS = 15

# Form feeds and their kind part words: removed like other control characters, they would glue two together.
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85]")
# All control characters but tab and line feed; a byte order mark inside a text is one, too.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|(?<=[.!?。！？][\"'”’)])\s+|\n")
# The parts of an evaluation item that are no text of its own: HellaSwag's ctx_b is often just "he".
_NO_TEXTS = {"id", "origin", "label", "question", "activity_label", "ctx_b"}


def clean(text: str) -> str:
    """Return a text in NFC, with LF line ends, without control characters and outer white space."""
    text = unicodedata.normalize("NFC", _BREAKS.sub("\n", text))
    return _CONTROL.sub("", text).strip()


def normalised(text: str) -> str:
    """Return what two texts must share to count as the same: NFC, any white space one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def evaluation_texts(folders: Iterable[Path]) -> dict[str, str]:
    """Return the normalised texts of the written evaluation sets, each with the name of its set."""
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
    return found


def keep_usable(
    rows: Iterable[Row], kind: Kind, source: str, evaluation: dict[str, str], drops: Drops
) -> Iterator[Row]:
    """Clean the rows of a source and yield those that can be learnt from; duplicates are the mixture's business."""
    for row in rows:
        texts = {key: clean(text) for key, text in row.texts.items()}
        if any(not text for key, text in texts.items() if key != "input"):
            drops.add(EMPTY, source, row.origin, row.texts)
        elif kind == "parallel" and len({normalised(text) for text in texts.values()}) == 1:
            drops.add(IDENTICAL, source, row.origin, texts)
        elif evaluation and (name := _evaluation_twin(texts, kind, evaluation)):
            drops.add(f"{OVERLAP}: {name}", source, row.origin, texts)
        else:
            yield Row(row.origin, texts)


def _evaluation_twin(texts: dict[str, str], kind: Kind, evaluation: dict[str, str]) -> str | None:
    """Return the evaluation set that shares a text with this row."""
    if kind == "text":
        return _twin_in_document(texts["text"], evaluation)
    names = (evaluation.get(normalised(text)) for text in texts.values())
    return next((name for name in names if name), None)


def _twin_in_document(document: str, evaluation: dict[str, str]) -> str | None:
    whole = evaluation.get(normalised(document))
    if whole:
        return whole
    # Lines as well as sentences: an evaluation text may itself hold several sentences.
    for line in document.split("\n"):
        for part in (line, *_SENTENCE_END.split(line)):
            if len(part) >= MIN_OVERLAP_CHARACTERS:
                key = normalised(part)
                if len(key) >= MIN_OVERLAP_CHARACTERS and key in evaluation:
                    return evaluation[key]
    return None


def drop_duplicates(rows: Iterable[Row], source: str, seen: Seen, drops: Drops) -> list[Row]:
    """Return the rows whose texts were not seen before, and remember where these were first seen."""
    kept: list[Row] = []
    for row in rows:
        place = (source, row.origin)
        first = seen.setdefault(tuple(normalised(text) for text in row.texts.values()), place)
        # A mixture may use one corpus in several parts: the same row again is no duplicate.
        if first == place:
            kept.append(row)
        else:
            drops.add(DUPLICATE, source, row.origin, {**row.texts, "same_as": " ".join(first)})
    return kept
