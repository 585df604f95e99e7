"""A form in which a benchmark is published, and how its rows become items."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosstune.languages.declared import means

_WHOLE = re.compile(r"([0-9]+)\.0+")


class NoItem(ValueError):
    """Why a row is no item of its task."""


@dataclass(frozen=True)
class ColumnLayout:
    """The columns of a published row (keys of an object, attributes and elements in XML).

    Attributes:
        texts: for each field of an item, the column that it stands in.
        label: the column of the right answer; empty without one.
        answers: what stands there, by label and in any case, in one way or several; or the column that lists them.
        right: the label of every row, where rows have none.
        ids: columns that together number a row, as far as it has them. Nothing relies on a number occurring once.
        language: columns that together say which language a row is in, by its code or English name.
    """

    texts: tuple[tuple[str, str], ...]
    label: str = ""
    answers: tuple[str | tuple[str, ...], ...] | str = ()
    ids: tuple[str, ...] = ()
    right: int | None = None
    language: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return tuple(dict.fromkeys([column for _, column in self.texts] + [self.label] * bool(self.label)))

    def item(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Make an item of a row.

        Raises:
            NoItem: when a text is none, or the label names no answer.
        """
        number = [_written(row[column]) for column in self.ids if row.get(column) is not None]
        item: dict[str, Any] = {"id": ":".join(number)} if number else {}
        for field, column in self.texts:
            item[field] = _texts(row[column], column)
        if self.label:
            item["label"] = self._label(row)
        elif self.right is not None:
            item["label"] = self.right
        return item

    def declared_language(self, row: Mapping[str, Any]) -> str:
        """Return the language that a row says it is in, by a code or name; nothing where it does not say so."""
        said = [row.get(column) for column in self.language]
        parts = [part.strip() for part in said if isinstance(part, str) and part.strip()]
        return "_".join(parts) if len(parts) == len(said) else ""

    def other_language(self, row: Mapping[str, Any], wanted: str) -> str:
        """Return the language that a row says it is in, where that is not the one that is wanted."""
        declared = self.declared_language(row)
        return declared if declared and means(declared, wanted) is False else ""

    def _label(self, row: Mapping[str, Any]) -> int:
        value, listed = row[self.label], row[self.answers] if isinstance(self.answers, str) else self.answers
        ways = [answer if isinstance(answer, tuple) else (answer,) for answer in listed]
        written = "" if value is None else _written(value)
        places = [place for place, way in enumerate(ways) if written in map(_written, way)]
        # In any case, unless answers differ in nothing else.
        places = places or [place for place, way in enumerate(ways) if written.casefold() in map(_folded, way)]
        # A program that took a column with gaps for numbers writes 3.0 for 3.
        if not places and isinstance(self.answers, tuple) and (whole := _WHOLE.fullmatch(written)):
            places = [place for place, way in enumerate(ways) if whole[1] in way]
        allowed = ", ".join(str(way[0]) for way in ways)
        if len(places) == 1:
            return places[0]
        if places:
            raise NoItem(f"label {value!r} stands more than once among {allowed}")
        hidden = "; where a split hides its answers, take one that has them" if written in ("", "-1") else ""
        raise NoItem(f"label {value!r} is not one of {allowed}{hidden}")


def same(*names: str) -> tuple[tuple[str, str], ...]:
    """Return fields that stand in columns of the same names."""
    return tuple((name, name) for name in names)


def _texts(value: Any, column: str) -> Any:
    """Return a text, or a list of texts; what Parquet and JSON call null is an empty text."""
    if value is None:
        return ""
    if isinstance(value, str | list):
        return value
    raise NoItem(f"{column!r} is not text but {value!r}")


def _folded(value: Any) -> str:
    return _written(value).casefold()


def _written(value: Any) -> str:
    """Return a label or number as a table would write it: 1, not 1.0, where a column with gaps was read as floats."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return unicodedata.normalize("NFC", str(value).strip())
