"""A suite is a language: its benchmarks in lm-evaluation-harness become tasks of the recipe."""

from pathlib import Path

import pytest

from crosstune.errors import RecipeError
from crosstune.recipe import Recipe, yaml_file


def recipe(suite: str, *more: str) -> Recipe:
    return yaml_file.load_recipe(Path("miniature"), [f"evaluate.suite={suite}", *more])


def test_each_benchmark_of_the_languages_is_one_task_of_the_recipe() -> None:
    found = recipe("{language: [ko, en], max_items: 5, chat_template: true, copies: copies}").evaluate.tasks
    assert {(found[label].name, found[label].language) for label in ("kmmlu_ko", "belebele_ko", "belebele_en")} == {
        ("kmmlu", "ko"),
        ("belebele_kor_Hang", "ko"),
        ("belebele_eng_Latn", "en"),
    }
    task = found["kmmlu_ko"]
    assert (task.task, task.max_items, task.chat_template, task.copies) == ("harness", 5, True, Path("copies"))
    assert {"hellaswag", "translate", "kobest_boolq_ko", "global_mmlu_ko", "mmlu_en"} <= {*found}


def test_a_task_of_the_same_label_replaces_one_of_the_suite() -> None:
    own = "evaluate.tasks.kmmlu_ko={task: harness, name: kmmlu_direct, language: ko}"
    found = recipe("{language: ko, only: [kmmlu, click]}", own).evaluate.tasks
    assert (found["kmmlu_ko"].name, found["click_ko"].name) == ("kmmlu_direct", "click")


def test_a_resolved_recipe_with_a_suite_is_itself_a_recipe(tmp_path: Path) -> None:
    found = recipe("{language: ko}")
    (tmp_path / "resolved.yaml").write_text(yaml_file.dump(found), encoding="utf-8")
    assert yaml_file.load_recipe(tmp_path / "resolved.yaml") == found


def test_a_suite_alone_is_enough() -> None:
    found = recipe("{language: ko, only: [kmmlu]}", "evaluate.tasks=null", "evaluate.tasks={}", "train.score_tasks=[]")
    assert {*found.evaluate.tasks} == {"kmmlu_ko"}


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("{language: vro}", r"evaluate\.suite: lm-evaluation-harness has no benchmark in 'vro' that we know"),
        ("{language: mi, only: [kmlu]}", r"`only` names kmlu, of which there is none in mi: choose of belebele"),
        ("{language: xx}", r"evaluate\.suite\.language.*'xx' is not a language code"),
        ("{language: ko, shots: 5}", r"evaluate\.suite\.shots: unknown setting"),
        ("3", r"evaluate\.suite: Input should be an object"),
    ],
)
def test_a_suite_that_cannot_be_is_refused_in_one_line(suite: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe(suite)
    assert "1 mistake\n" in str(caught.value)
