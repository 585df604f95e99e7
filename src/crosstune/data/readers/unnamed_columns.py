"""Which columns of a table without header hold the two languages: never by their place alone."""

import re
from collections.abc import Sequence
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages.registry import shares_letters
from crosstune.languages.writing_systems import script_share

_LETTER = re.compile(r"[^\W\d_]")
# The last column of the pairs at manythings.org: "CC-BY 2.0 (France) Attribution: tatoeba.org #2877272".
_ATTRIBUTION = re.compile(r"CC[- ]BY|CC0|Attribution", re.IGNORECASE)
# A first row of such words is a header that the languages' names do not stand in.
_HEADER_WORDS = {
    *("source", "target", "src", "tgt", "trg", "original", "translation", "translated", "sentence", "sentence1"),
    *("sentence2", "text", "text1", "text2", "id", "input", "output", "label", "lang1", "lang2"),
    *("원본", "원어", "번역", "출발어", "도착어"),
}


def places_of_languages(rows: Sequence[Sequence[Any]], fields: Sequence[str], path: str) -> dict[str, int]:
    """Return the column of each language.

    Two witnesses are asked for. Two columns with letters are taken in their order. Of more, the first two are taken
    where they are in the languages' scripts, or the only two that are, whatever their places.

    Raises:
        BadInputError: when the columns cannot be told apart.
    """
    header = [str(cell).strip().lower() for cell in rows[0]]
    if sum(cell in _HEADER_WORDS for cell in header) >= len(fields):
        raise _unclear(rows, fields, path, "the names in its first row do not say which column is in which language")
    columns = [[str(row[place]) for row in rows if place < len(row)] for place in range(len(rows[0]))]
    lettered = [place for place, cells in enumerate(columns) if _holds_text(cells)]
    if len(lettered) == len(fields):
        return dict(zip(fields, lettered, strict=True))
    first, second = fields
    if len(lettered) > len(fields) and not shares_letters(first, second):
        in_script = [[place for place in lettered if _is_in(columns[place], code)] for code in fields]
        if 0 in in_script[0] and 1 in in_script[1]:
            return {first: 0, second: 1}
        if len(in_script[0]) == len(in_script[1]) == 1:
            return {first: in_script[0][0], second: in_script[1][0]}
    raise _unclear(rows, fields, path, f"{len(lettered)} of its columns hold text")


def _holds_text(cells: Sequence[str]) -> bool:
    """Return whether most cells have letters and are no attribution."""
    filled = [cell for cell in cells if cell.strip()]
    texts = sum(bool(_LETTER.search(cell)) and not _ATTRIBUTION.match(cell) for cell in filled)
    return 2 * texts > len(filled)


def _is_in(cells: Sequence[str], code: str) -> bool:
    filled = [cell for cell in cells if _LETTER.search(cell)]
    return 2 * sum(script_share(cell, code) >= 0.5 for cell in filled) > len(filled)


def _unclear(rows: Sequence[Sequence[Any]], fields: Sequence[str], path: str, why: str) -> BadInputError:
    first, second = fields
    return BadInputError(
        f"{path}: the table has {len(rows[0])} columns, its first row names no {first} and no {second}, and {why}. It "
        f"starts with {' | '.join(map(str, rows[0]))[:200]}. Name the two columns in the first row, or by number in "
        f"`columns`: {{{first}: '1', {second}: '2'}} if they are the first two"
    )
