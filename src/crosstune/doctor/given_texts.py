"""The texts that a tokenizer is looked at with: bundled or given translations, and files of either language."""

import re
from collections.abc import Sequence
from pathlib import Path

from crosstune.data.rows import Row
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.languages.parallel_sample import sample_of
from crosstune.recipe import Languages, Source

# A minute is what the doctor has: the words of so much text are counted and merged in half of it.
_MOST_CHARACTERS = 20_000_000
_OWN_LETTERS = 0.5


def parallel_lines(languages: Languages, sample: Path | None) -> tuple[list[str], list[str]] | None:
    """Return the lines of both sides, source first; None where nothing is given and nothing is bundled.

    Raises:
        BadInputError: when a given file holds no pair, or columns of other languages.
    """
    codes = (languages.source, languages.target)
    if sample is None:
        bundled = [sample_of(code) for code in codes]
        return (bundled[0], bundled[1]) if bundled[0] and bundled[1] else None
    source = Source.model_validate({"kind": "parallel", "paths": (str(sample),)})
    rows = [row for row in read_source(source, [sample], sample.parent, languages) if isinstance(row, Row)]
    if not rows:
        raise BadInputError(
            f"--sample {sample}: it has no pair of {codes[0]} and {codes[1]}. Give a table with one column per "
            f"language, named by their codes or, without a header, the source language first"
        )
    sides = [row.texts[codes[0]] for row in rows], [row.texts[codes[1]] for row in rows]
    for code, side in zip(codes, sides, strict=True):
        letters = [letter for line in side for letter in line if letter.isalpha()]
        own = len(re.findall(f"[{characters.letters_of(code)}]", "".join(letters)))
        if own < _OWN_LETTERS * len(letters):
            raise BadInputError(
                f"--sample {sample}: {own:,} of the {len(letters):,} letters that should be {code} are of its script. "
                f"The columns are {codes[0]} and {codes[1]}, in this order where they have no header"
            )
    return sides


def lines_of(paths: Sequence[Path], code: str, languages: Languages) -> list[str]:
    """Return the lines of text files, as many as a minute allows.

    Raises:
        BadInputError: when one is not there.
    """
    found: list[str] = []
    length = 0
    for path in paths:
        if not path.is_file():
            raise BadInputError(f"{path} was not found: --text and --source-text take text files")
        source = Source.model_validate({"kind": "text", "language": code, "paths": (str(path),)})
        for row in read_source(source, [path], path.parent, languages):
            if isinstance(row, Row):
                found += row.texts["text"].splitlines()
                length += len(row.texts["text"])
            if length > _MOST_CHARACTERS:
                return found
    return found
