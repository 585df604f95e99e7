"""CLIcK as the hub has it: JSON arrays in folders, four or five choices, the answer as a choice's text."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.evaluate.harness.tasks import click_letters, click_text
from crosstune.report.tables.baselines import read_levels
from crosstune.runs.files import write_jsonl
from crosstune.runs.folder import RunFolder
from tests.report.conftest import make_recipe
from tests.tasks.read import read

FOUR: dict[str, Any] = {
    "id": "Kedu_1",
    "paragraph": "",
    "question": "수도는?",
    "choices": ["부산", "서울", "대구", "인천"],
}
FIVE: dict[str, Any] = {
    "id": "CSAT_2",
    "paragraph": "글",
    "question": "답은?",
    "choices": ["가", "나", "다", "라", "마"],
}


def test_an_answer_is_the_place_of_its_text(tmp_path: Path) -> None:
    rows = [{**FOUR, "answer": "서울"}, {**FIVE, "answer": "마"}]
    items = read(tmp_path, "click", {"Dataset/Culture/Geo.json": json.dumps(rows, ensure_ascii=False)})
    assert items == [{**FOUR, "label": 1}, {**FIVE, "label": 4}]


def test_choices_that_differ_in_case_alone_are_told_apart(tmp_path: Path) -> None:
    row = {**FOUR, "choices": ["pH", "PH", "ph", "Ph"]}
    rows = [{**row, "answer": "PH"}, {**FOUR, "choices": ["KOREA", "b", "c", "d"], "answer": "Korea"}]
    items = read(tmp_path, "click", {"a.json": json.dumps(rows, ensure_ascii=False)})
    assert [item["label"] for item in items] == [1, 0]


@pytest.mark.parametrize(("answer", "problem"), [("제주", "is not one of 부산, 서울"), ("", "is not one of")])
def test_an_answer_that_is_no_choice_is_refused(tmp_path: Path, answer: str, problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        read(tmp_path, "click", {"a.json": json.dumps([{**FOUR, "answer": answer}], ensure_ascii=False)})


def test_every_choice_is_shown_and_guessing_knows_how_many_there_are(tmp_path: Path) -> None:
    from lm_eval.tasks.click.click_lang import utils

    assert click_text(FOUR) == utils.get_context(FOUR) and click_letters(FOUR) == utils.get_choices(FOUR)
    assert click_text({**FOUR, "paragraph": "글"}) == utils.get_context({**FOUR, "paragraph": "글"})
    assert "E: 마\n정답:" in click_text(FIVE) and click_letters(FIVE) == utils.get_choices(FIVE)
    tasks = {"culture": {"task": "click", "paths": ["a.json"]}}
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    run = RunFolder(recipe.runs_root / recipe.name)
    write_jsonl(run.evaluation_set("culture") / "items.jsonl", [{**FOUR, "label": 1}, {**FIVE, "label": 4}])
    assert read_levels(recipe, run)["culture"].chance == pytest.approx((1 / 4 + 1 / 5) / 2)


def test_score_finds_its_folders(tmp_path: Path) -> None:
    for name in ("Culture/History/History_Kedu.json", "Language/Grammar/Grammar_CSAT.json", "Culture/Law/Law.json"):
        (tmp_path / "Dataset" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Dataset" / name).touch()
    assert len(find_tasks(Choice("korean", tmp_path, skip_missing=True), 4)["click"]["paths"]) == 3
