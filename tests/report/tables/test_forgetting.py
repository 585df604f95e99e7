"""The recipe's limit of forgetting, and who keeps it."""

import pytest

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.tables.forgetting import verdict
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from tests.report.conftest import make_recipe, write_run


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.03, 0.01, "pass"),
        (0.01, 0.02, "pass"),
        (-0.031, 0.01, "undecided"),
        (-0.08, -0.03, "undecided"),
        (-0.08, -0.031, "fail"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low: float, high: float, expected: str) -> None:
    assert verdict((-high, -low), 0.03) == expected


def test_every_system_and_task_gets_a_verdict_and_the_page_a_sentence(recipe: Recipe) -> None:
    evaluate = recipe.model_dump(mode="json")["evaluate"] | {"max_forgetting": 0.05}
    limited = make_recipe(recipe.runs_root, evaluate=evaluate)
    run = write_run(limited)
    stage.run(limited, run)
    found = read_json(run.report / "forgetting.json")
    assert {(one["system"], one["task"]) for one in found} == {
        (system, task) for system in ("lora", "continued", "ours", "bilingual") for task in ("hella", "choice")
    }
    assert all(one["limit"] == 0.05 and one["low"] <= one["change"] <= one["high"] for one in found)
    assert "Held against the limit of 0.05: " in (run.report / "report.md").read_text(encoding="utf-8")


def test_without_a_limit_there_is_no_verdict(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    assert read_json(run.report / "forgetting.json") == []
