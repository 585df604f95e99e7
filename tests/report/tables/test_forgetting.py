"""The recipe's limit of forgetting, and who keeps it."""

import csv
from typing import Any

import numpy as np
import pytest
import typer

from crosstune.cli import stages
from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import Recipe, yaml_file
from crosstune.report import stage
from crosstune.report.tables.forgetting import failure, verdict
from crosstune.runs.files import read_json, write_json, write_jsonl, write_text
from crosstune.runs.folder import RESAMPLES, RunFolder
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


@pytest.mark.slow
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
    assert "Against the limit of 0.05: " in (run.report / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_a_limit_there_is_no_verdict(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    assert read_json(run.report / "forgetting.json") == []


def test_what_the_reference_was_made_from_is_no_adapted_system(recipe: Recipe) -> None:
    limited = gated(recipe, {"arc": {"task": "harness", "name": "arc_easy", "language": "en"}})
    limited = make_recipe(
        recipe.runs_root, evaluate={**limited.model_dump(mode="json")["evaluate"], "reference_system": "ours"}
    )
    assert limited.systems["ours"].start == "llama" and "llama" in recipe.systems
    assert limited.adapted_systems == [name for name in limited.systems if name not in ("llama", "ours")]
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_answers(run, system, "arc", 20 if system == "llama" else 80)
    assert gate(limited, run) == ""
    assert "Significant loss" not in (run.report / "report.md").read_text(encoding="utf-8")


def gated(recipe: Recipe, tasks: dict[str, Any], limit: float = 0.03) -> Recipe:
    evaluate = recipe.model_dump(mode="json", exclude_none=True)["evaluate"]
    return make_recipe(recipe.runs_root, evaluate={**evaluate, "tasks": tasks, "max_forgetting": limit})


def write_answers(
    run: RunFolder, system: str, task: str, right: int, num_items: int = 100, metric: str = "acc"
) -> None:
    folder = run.system(system) / "evaluation"
    value = right / num_items
    score = {"task": task, "metric": metric, "value": value, "low": value, "high": value, "n": num_items}
    write_json(folder / "scores.json", {"scores": [score]})
    rows = [{"task": task, "id": str(n), "output": "", "correct": n < right} for n in range(num_items)]
    write_jsonl(folder / "outputs.jsonl", rows)


def write_scores(run: RunFolder, system: str, task: str, metric: str, value: float, **more: str) -> None:
    """Write a score whose resamples are all the same, and 20 answers without a right or wrong."""
    folder = run.system(system) / "evaluation"
    score = {"task": task, "metric": metric, "value": value, "low": value, "high": value, "n": 20, **more}
    write_json(folder / "scores.json", {"scores": [{**score, "items": "the same"}]})
    write_jsonl(folder / "outputs.jsonl", [{"task": task, "id": str(n), "output": ""} for n in range(20)])
    np.savez(folder / RESAMPLES, **{f"{task}/{metric}": np.full(1000, value)})


def gate(recipe: Recipe, run: RunFolder) -> str:
    stage.run(recipe, run)
    return failure(read_json(run.report / "forgetting.json"))


def test_a_task_of_the_harness_that_falls_fails_the_check(recipe: Recipe) -> None:
    limited = gated(recipe, {"arc": {"task": "harness", "name": "arc_easy", "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_answers(run, system, "arc", 20 if system == "ours" else 80)
    said = gate(limited, run)
    assert said.startswith("LLaMA (ours, the paper's) on arc (acc) forgot more than 0.03: its change is -0.600 [")
    assert "\n" not in said
    report = (run.report / "report.md").read_text(encoding="utf-8")
    assert "Significant loss: LLaMA (ours, the paper's) (ARC easy, English −0.600)." in report
    assert "fail: LLaMA (ours, the paper's)" in report


def test_a_number_of_an_unknown_scale_is_not_held_against_a_limit_of_shares(recipe: Recipe) -> None:
    limited = gated(recipe, {"squad": {"task": "harness", "name": "squad_en", "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_scores(run, system, "squad", "best_f1", 66.0 if system == "ours" else 70.0)
    said = gate(limited, run)
    assert "LLaMA (ours, the paper's) on squad (best_f1) could not be checked: its numbers are beyond 1" in said


def test_less_is_better_where_the_harness_says_so(recipe: Recipe) -> None:
    limited = gated(recipe, {"toxicity": {"task": "harness", "name": "toxicity", "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_scores(run, system, "toxicity", "score", 0.6 if system == "ours" else 0.2, better="less")
    said = gate(limited, run)
    assert said.startswith("LLaMA (ours, the paper's) on toxicity (score) forgot more than 0.03: its change is +0.400")
    report = (run.report / "report.md").read_text(encoding="utf-8")
    assert "score, lower is better" in report


@pytest.mark.parametrize(("task", "metric"), [("instructions", "pass_rate"), ("open_questions", "in_language")])
def test_what_a_chat_model_could_in_the_source_language_is_held_against_the_limit(
    recipe: Recipe, task: str, metric: str
) -> None:
    limited = gated(recipe, {f"kept_{code}": {"task": task, "language": code} for code in ("en", "ko")})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_answers(run, system, "kept_en", 20 if system == "ours" else 80, metric=metric)
    said = gate(limited, run)
    assert said.startswith(
        f"LLaMA (ours, the paper's) on kept_en ({metric}) forgot more than 0.03: its change is -0.600"
    )
    assert "kept_ko" not in said
    with (run.report / "comparisons.csv").open(encoding="utf-8") as file:
        tests = {row["test"] for row in csv.DictReader(file) if row["metric"] == metric}
    assert tests == {"mcnemar_exact"}


def test_held_out_text_of_the_source_language_is_a_loss_when_its_bits_rise(recipe: Recipe) -> None:
    limited = gated(recipe, {"news": {"task": "bits_per_byte", "paths": ["n.txt"], "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_scores(run, system, "news", "bits_per_byte", 1.091 if system == "ours" else 1.0)
    assert gate(limited, run).startswith("LLaMA (ours, the paper's) on news (bits_per_byte) forgot more than 0.03: ")
    report = (run.report / "report.md").read_text(encoding="utf-8")
    assert "Significant loss: LLaMA (ours, the paper's) (English text +0.091 bits per byte, lower is better)." in report
    assert "No significant loss against LLaMA (base): LLaMA (Ko), LoRA; " in report


def test_what_cannot_be_checked_fails_the_check(recipe: Recipe) -> None:
    limited = gated(recipe, {"arc": {"task": "harness", "name": "arc_easy", "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in ("llama", "lora"):
        write_answers(run, system, "arc", 80)
    write_answers(run, "continued", "arc", 80, num_items=50)
    said = gate(limited, run)
    assert "LLaMA (Ko), continued on arc (acc) could not be checked: it and the reference system need the same" in said
    assert "LLaMA (bilingual) on arc (acc) could not be checked: it and the reference system need a score" in said
    assert "LoRA" not in said
    assert failure([]).startswith("forgetting was to be checked, but there is nothing to check")


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        (
            {"n": {"task": "nsmc_generate", "paths": ["n.txt"]}},
            "no task of evaluate.tasks is in the source language",
        ),
        ({"a": {"task": "harness", "name": "arc_easy"}}, "give the `language` of a, as `language: en`"),
    ],
)
def test_a_limit_that_nothing_could_be_held_against_is_refused_at_once(
    recipe: Recipe, tasks: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        gated(recipe, tasks)


@pytest.mark.slow
def test_the_command_fails_with_the_reason_and_wants_a_limit(
    recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = gated(recipe, {"arc": {"task": "harness", "name": "arc_easy", "language": "en"}})
    run = RunFolder(limited.runs_root / limited.name)
    for system in limited.systems:
        write_answers(run, system, "arc", 20 if system == "ours" else 80)
    write_text(run.recipe, yaml_file.dump(limited))
    with pytest.raises(typer.Exit) as ended:
        stages.report(run.recipe, fail_on_forgetting=True)
    assert ended.value.exit_code == 1 and "on arc (acc) forgot more than 0.03" in capsys.readouterr().err
    with pytest.raises(BadInputError, match=r"needs a limit in the recipe: set evaluate\.max_forgetting"):
        stages.report(run.recipe, ["evaluate.max_forgetting=null"], fail_on_forgetting=True)
