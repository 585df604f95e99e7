"""Belebele as the hub has it: JSON lines or Parquet for each language, answers as the texts 1 to 4."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.recipe import EvaluationTask
from crosstune.tasks.registry import all_tasks
from tests.tasks.read import read

ROW: dict[str, Any] = {
    "link": "https://en.wikibooks.org/x",
    "question_number": 1,
    "flores_passage": "남자는 창문을 열었다.",
    "question": "무엇을 열었나?",
    "mc_answer1": "문",
    "mc_answer2": "창문",
    "mc_answer3": "그릇",
    "mc_answer4": "책",
    "correct_answer_num": "2",
    "dialect": "kor_Hang",
    "ds": "2023-05-03",
}


@pytest.mark.parametrize("name", ["data/kor_Hang.jsonl", "kor_Hang/test-00000-of-00001.parquet"])
def test_questions_of_one_passage_are_told_apart(tmp_path: Path, name: str) -> None:
    items = read(tmp_path, "belebele", {name: [ROW, {**ROW, "question_number": 2}]}, language="ko")
    assert [(item["id"], item["label"]) for item in items] == [(f"{ROW['link']}:{number}", 1) for number in (1, 2)]
    assert items[0]["mc_answer4"] == "책" and "dialect" not in items[0]


def test_a_row_of_another_language_is_refused(tmp_path: Path) -> None:
    [layout] = all_tasks()["belebele"].layouts
    known = [*all_tasks()["belebele"].in_harness.other, ("no", "nob_Latn")]  # type: ignore[union-attr]
    assert not [code for language, code in known if layout.other_language({"dialect": code}, language)]
    with pytest.raises(BadInputError, match=r"the row says that it is in jpn_Jpan, but ko is asked for"):
        read(tmp_path, "belebele", {"a.jsonl": [{**ROW, "dialect": "jpn_Jpan"}]}, language="ko")


def test_a_recipe_says_which_language_it_is() -> None:
    with pytest.raises(ValidationError, match="`task: belebele` needs the `language` of its items"):
        EvaluationTask.model_validate({"task": "belebele", "paths": ("a",)})
    task = EvaluationTask.model_validate({"task": "belebele", "paths": ("a",), "language": "swa"})
    assert task.items_language == "sw"


def test_score_finds_both_languages_files(tmp_path: Path) -> None:
    for code in ("deu_Latn", "zho_Hans", "eng_Latn"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{code}.jsonl").touch()
    found = find_tasks(Choice("multilingual", tmp_path, skip_missing=True, source="de", target="zh"), 4)
    assert {label: (task["paths"], task["language"]) for label, task in found.items()} == {
        "belebele_de": (["data/deu_Latn.jsonl"], "de"),
        "belebele_zh": (["data/zho_Hans.jsonl"], "zh"),
    }
