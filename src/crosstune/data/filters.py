"""Which rows are dropped, and why."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# All control characters but tab and newline; carriage returns become newlines first.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?。])\s+|\n+")
# A shorter evaluation text ("Yes.") occurs by itself in any corpus; as the whole of a row it still counts.
MIN_OVERLAP_CHARACTERS = 15


def clean(text: str) -> str:
    """Return a text in NFC, without control characters, trimmed."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROL.sub("", composed).strip()


def key(text: str) -> str:
    """Return what two texts share when they are the same but for case, spaces and final punctuation."""
    return _SPACES.sub(" ", text).strip().casefold().rstrip(".!?。 ")


@dataclass
class EvaluationTexts:
    """Every text of the recipe's evaluation sets, to keep it out of training."""

    _names: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Take in the texts of an evaluation set."""
        for text in texts:
            self._names.setdefault(key(text), name)

    def find(self, fields: Mapping[str, str], is_document: bool) -> str | None:
        """Return the evaluation set whose text a row repeats: as a whole field, or as a sentence of a document."""
        for text in fields.values():
            if text and (found := self._names.get(key(text))):
                return found
        if is_document:
            for text in fields.values():
                for sentence in _SENTENCE_END.split(text):
                    if len(sentence) >= MIN_OVERLAP_CHARACTERS and (found := self._names.get(key(sentence))):
                        return found
        return None


def problem_of(fields: Mapping[str, str], kind: str) -> str | None:
    """Return why a cleaned row teaches nothing, if so."""
    if kind == "instructions":
        empty = [name for name in ("instruction", "output") if not fields[name]]
    else:
        empty = [name for name, text in fields.items() if not text]
    if empty:
        return f"empty {empty[0]}"
    if kind == "parallel" and len({key(text) for text in fields.values()}) == 1:
        return "identical sides"
    return None
