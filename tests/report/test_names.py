"""Names of systems, sources and tasks in another script, as a user's files have them, in what is reported."""

import csv
import json
from pathlib import Path

import pytest

from crosstune.recipe import Recipe, yaml_file
from crosstune.report import stage
from crosstune.runs.files import write_text
from crosstune.runs.folder import RunFolder
from tests.report.conftest import make_recipe, recipe_content, write_run

NAMES = {"ours": "우리", "koalpaca": "1_구어체_1", "hella": "문맥", "pairs": "번역"}


def in_korean(text: str) -> str:
    """Rename keys, and what names a source or a task, in JSON."""
    for old, new in NAMES.items():
        for before in (f'"{old}":', f'"source": "{old}"', f'"task": "{old}"', f'"task": "{old}_'):
            text = text.replace(before, before.replace(old, new))
    return text


@pytest.fixture
def korean_run(tmp_path: Path) -> tuple[Recipe, RunFolder]:
    """The made-up run, renamed."""
    run = write_run(make_recipe(tmp_path))
    recipe = make_recipe(tmp_path, **json.loads(in_korean(json.dumps(recipe_content(), ensure_ascii=False))))
    for path in (run.recipe, *(run.root / ".stages").iterdir()):
        write_text(path, yaml_file.dump(recipe))
    for pattern in ("*.json", "*.jsonl"):
        for path in run.root.rglob(pattern):
            write_text(path, in_korean(path.read_text("utf-8")))
    run.system("ours").rename(run.system("우리"))
    return recipe, run


@pytest.mark.slow
def test_names_in_another_script_stand_in_everything_that_is_reported(korean_run: tuple[Recipe, RunFolder]) -> None:
    recipe, run = korean_run
    stage.run(recipe, run)
    with (run.report / "tables.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {"문맥", "번역_ko_en_ko"} <= {row["task"] for row in rows}
    assert "우리" in {row["system"] for row in rows}
    page = (run.report / "report.html").read_text("utf-8")
    assert "1_구어체_1" in page and '"번역_ko_en_ko"' in page
    assert "번역_ko_en_ko" in (run.report / "failures.csv").read_text("utf-8")
