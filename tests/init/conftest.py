"""A model that can be extended, and folders of files as people have them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crosstune.cli import app
from crosstune.languages.parallel_sample import sample_of
from crosstune.recipe import Recipe
from crosstune.recipe.yaml_file import load_recipe
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


def init(model: Path, folder: Path, target: str, *options: str) -> Result:
    """What the command did with a model and a folder, planned for a GPU by its name."""
    out = str(folder.parent / "recipe.yaml")
    arguments = ["init", str(model), str(folder), "--to", target, "--gpu", "rtx4090", "--out", out, *options]
    return CliRunner().invoke(app.app, arguments)


def written(model: Path, folder: Path, target: str, *options: str) -> tuple[Recipe, str]:
    """The recipe that was written, and what was printed."""
    done = init(model, folder, target, *options)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    return load_recipe(folder.parent / "recipe.yaml"), done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for files."""
    folder = tmp_path / "corpora"
    folder.mkdir()
    return folder
