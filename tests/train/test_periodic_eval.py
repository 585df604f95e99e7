"""The suite scored while training: at the right steps, once, without touching what is learnt."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import Phase, Recipe, yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.train import stage as train_stage
from crosstune.train import system as train_system
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, phase, scratch

SCORED: dict[str, Any] = {"score_every_steps": 3}


class Suite:
    """Stands for the suite: a number that tells one model from the next, and random numbers drawn on the way."""

    def __init__(self, fingerprint: str = "all tasks", dies_in: int = -1) -> None:
        self.vocabularies: list[int] = []
        self.fingerprint, self.dies_in = fingerprint, dies_in

    def made(self, recipe: Recipe, run: RunFolder) -> "Suite":
        return self

    def __call__(self, model: Any, tokenizer: Any) -> dict[str, dict[str, float]]:
        if len(self.vocabularies) == self.dies_in:
            raise Interrupted
        torch.rand(3)
        self.vocabularies.append(len(tokenizer))
        return {"sum": {"acc": sum(parameter.sum().item() for parameter in model.parameters())}}


def scores(run: RunFolder, name: str = "base") -> list[dict[str, Any]]:
    path = run.system(name) / "scores_during_training.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(run.system(name) / "model").state_dict())


def test_the_suite_is_scored_at_begin_and_end_and_every_so_many_steps(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=8), phase(num_steps=3)])}, **SCORED)
    suite = Suite()
    train_stage.run(recipe, run, make_score=suite.made)
    assert [(row["phase"], row["step"]) for row in scores(run)] == [(0, 0), (0, 3), (0, 6), (0, 8), (1, 0), (1, 3)]
    assert len({row["scores"]["sum"]["acc"] for row in scores(run)}) == 5  # the second phase begins as the first ended
    assert set(suite.vocabularies) == {400}
    assert {row["max_items"] for row in scores(run)} == {recipe.train.score_max_items}


def test_it_changes_nothing_of_what_is_learnt(make_run: MakeRun, tmp_path: Path) -> None:
    lora = {"rank": 2, "alpha": 4, "dropout": 0.5, "targets": ["q_proj"]}
    systems = {"base": scratch(), "lora": {"start": "base", "tokenizer": "base"}}
    systems["lora"] |= {"phases": [phase(method="lora", lora=lora)]}
    found = []
    for folder, settings in (("with", SCORED), ("without", {})):
        recipe, run = make_run(systems, root=tmp_path / folder, **settings)
        train_stage.run(recipe, run, make_score=Suite().made if settings else None)
        found.append(weights(run, "base") | {f"lora.{name}": weight for name, weight in weights(run, "lora").items()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_run_that_breaks_off_has_every_score_once(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=8)])}
    recipe, whole = make_run(systems, root=tmp_path / "whole", **SCORED)
    train_stage.run(recipe, whole, make_score=Suite().made)
    recipe, broken = make_run(systems, root=tmp_path / "broken", **SCORED)
    with pytest.raises(Interrupted), broken_off_after(5):
        train_stage.run(recipe, broken, make_score=Suite().made)
    again = Suite()
    train_stage.run(recipe, broken, make_score=again.made)
    assert scores(broken) == scores(whole)
    assert len(again.vocabularies) == 2  # steps 6 and 8; 0 and 3 were scored before


@pytest.mark.slow
@pytest.mark.parametrize(("dies_in", "resumed_at"), [(1, 3), (2, 6), (3, 9)])
def test_a_kill_in_the_middle_of_scoring_costs_no_step_and_no_score(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], dies_in: int, resumed_at: int
) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=9)])}
    recipe, whole = make_run(systems, root=tmp_path / "whole", **SCORED)
    train_stage.run(recipe, whole, make_score=Suite().made)
    recipe, broken = make_run(systems, root=tmp_path / "broken", **SCORED)
    with pytest.raises(Interrupted):
        train_stage.run(recipe, broken, make_score=Suite(dies_in=dies_in).made)
    capsys.readouterr()
    again = Suite()
    train_stage.run(recipe, broken, make_score=again.made)
    assert f"resumes from phase 1, step {resumed_at}\n" in capsys.readouterr().err
    assert len(again.vocabularies) == 4 - dies_in
    assert scores(broken) == scores(whole)
    assert all(torch.equal(weight, weights(broken, "base")[name]) for name, weight in weights(whole, "base").items())


@pytest.mark.slow
def test_who_is_asked_to_stop_saves_at_once_and_scores_when_it_goes_on(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch()}, **SCORED, save_every_steps=100)
    train = train_system.train.__globals__
    calls = iter(range(9))
    with monkeypatch.context() as patch:
        patch.setitem(train, "stop_requests", lambda: nullcontext(lambda: next(calls) == 2))
        with pytest.raises(KeyboardInterrupt):
            train_stage.run(recipe, run, make_score=Suite().made)
    assert [row["step"] for row in scores(run)] == [0]
    train_stage.run(recipe, run, make_score=Suite().made)
    assert [row["step"] for row in scores(run)] == [0, 3, 6, 8]


@pytest.mark.slow
def test_each_row_says_what_it_is_of_where_that_changes_in_the_middle(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(phases=[phase(), phase(max_length_tokens=100, on_too_long="drop", num_steps=1)])}
    settings = {"validation": "korean", "validate_every_steps": 4}
    recipe, run = make_run(systems, root=tmp_path / "run", **SCORED, **settings)
    with pytest.raises(Interrupted), broken_off_after(5):
        train_stage.run(recipe, run, make_score=Suite("all tasks").made)
    train_stage.run(recipe, run, make_score=Suite("one task").made)
    assert [(row["step"], row["fingerprint"]) for row in scores(run)] == [
        (0, "all tasks"),
        (3, "all tasks"),
        (6, "one task"),
        (8, "one task"),
        (0, "one task"),
        (1, "one task"),
    ]
    path = run.system("base") / "validation.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    first, *_, last = found = [row["fingerprint"] for row in rows]
    assert found == [first] * 3 + [last] * 2 and first != last  # shorter windows in the second phase


@pytest.mark.slow
def test_a_training_without_scores_leaves_none_of_an_earlier_one(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, run = make_run({"base": scratch()}, root=tmp_path / "run", **SCORED)
    train_stage.run(recipe, run, make_score=Suite().made)
    changed = recipe.systems["base"].model_copy(update={"phases": (at_another_rate(recipe),)})
    settings = recipe.train.model_copy(update={"score_every_steps": None})
    train_stage.run(recipe.model_copy(update={"systems": {"base": changed}, "train": settings}), run)
    assert not (run.system("base") / "scores_during_training.jsonl").exists()


def at_another_rate(recipe: Recipe) -> Phase:
    """Return the phase with another learning rate."""
    only = recipe.systems["base"].phases[0]
    return only.model_copy(update={"learning_rate": 2 * only.learning_rate})


def test_several_processes_are_told_what_to_do_instead(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = make_run({"base": scratch()}, **SCORED)
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 2)
    monkeypatch.setattr("crosstune.train.tracking.ranks.num_ranks", lambda: 2)
    with pytest.raises(BadInputError, match=r"score_every_steps: 3 .* 2 were launched.*train\.validation"):
        train_stage.run(recipe, run, make_score=Suite().made)


def test_a_task_that_the_recipe_lacks_cannot_be_scored(recipe_content: dict[str, Any]) -> None:
    recipe_content["train"] = {"score_every_steps": 10, "score_tasks": ["nothing"]}
    with pytest.raises(RecipeError, match=r"train\.score_tasks: 'nothing' is no label of evaluate\.tasks; there are"):
        yaml_file.validate(recipe_content, "test")
