"""A model that can be extended, and folders of files as people have them."""

import json
from pathlib import Path

from crosstune.languages.parallel_sample import sample_of
from tests.doctor.conftest import make_model

__all__ = ["make_model"]


def lines(language: str, number: int) -> list[str]:
    """So many different lines in a language."""
    sentences = sample_of(language) or []
    return [f"{sentences[index % 30]} ({index // 30})" for index in range(number)]


def write_pairs(path: Path, target: str, number: int = 120) -> None:
    """A table of translations, with a header."""
    rows = zip(lines("en", number), lines(target, number), strict=True)
    path.write_text("\n".join([f"en\t{target}", *(f"{first}\t{second}" for first, second in rows)]), encoding="utf-8")


def write_instructions(path: Path, language: str, number: int = 60) -> None:
    """Instructions as Alpaca has them."""
    said = lines(language, number)
    rows = [{"instruction": f"{said[index]}?", "input": "", "output": said[-index]} for index in range(number)]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def write_text(path: Path, language: str, number: int = 120) -> None:
    """A line for each document."""
    path.write_text("\n".join(lines(language, number)), encoding="utf-8")
