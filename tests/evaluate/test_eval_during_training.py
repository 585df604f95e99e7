"""The suite scored inside training: the same numbers as afterwards, and a model that is left as it was."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from crosstune.evaluate import stage
from crosstune.evaluate.eval_during_training import SuiteScorer
from crosstune.evaluate.suite import Suite
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.packing import ATTENTION
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json, read_jsonl, write_jsonl
from crosstune.runs.folder import RunFolder
from tests.evaluate.test_stage import CELLS, ITEMS, TASKS, recipe, run

__all__ = ["recipe", "run"]


def with_settings(recipe: Recipe, **settings: object) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=settings)})


@pytest.mark.slow
def test_the_scores_are_those_of_the_evaluate_stage(recipe: Recipe, run: RunFolder, model_folder: Path) -> None:
    stage.run(recipe, run)
    expected: dict[str, dict[str, float]] = {}
    for row in read_json(run.system("base") / "evaluation" / "scores.json")["scores"]:
        expected.setdefault(row["task"], {})[row["metric"]] = row["value"]
    model, tokenizer = load_model(str(model_folder)), load_tokenizer(str(model_folder))
    score = SuiteScorer(recipe, run)
    # Twice: no answer is remembered from one model to the next.
    assert score(model, tokenizer) == score(model, tokenizer) == expected
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert score(model, tokenizer) != expected


@pytest.mark.slow
def test_a_model_that_is_trained_in_bf16_is_scored_as_afterwards(
    recipe: Recipe, run: RunFolder, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = load_model(str(model_folder)), load_tokenizer(str(model_folder))
    expected = SuiteScorer(recipe, run)(model, tokenizer)
    AcceleratorState._reset_state(reset_partial_state=True)  # it keeps the precision of the first
    prepared = Accelerator(cpu=True, mixed_precision="bf16").prepare_model(load_model(str(model_folder)))
    AcceleratorState._reset_state(reset_partial_state=True)
    called = prepared.forward
    assert SuiteScorer(recipe, run)(prepared, tokenizer) == expected
    assert prepared.forward is called and "rows one by one" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_model_keeps_its_mode_and_its_attention(recipe: Recipe, run: RunFolder, model_folder: Path) -> None:
    model, tokenizer = load_model(str(model_folder)), load_tokenizer(str(model_folder))
    model.set_attn_implementation(ATTENTION)
    for is_training in (True, False):
        model.train(is_training)
        SuiteScorer(recipe, run)(model, tokenizer)
        assert model.training is is_training
        assert model.config._attn_implementation == ATTENTION


@pytest.mark.slow
def test_only_the_chosen_tasks_are_scored_on_a_draw_of_their_items(
    recipe: Recipe, run: RunFolder, model_folder: Path, tmp_path: Path
) -> None:
    chosen = with_settings(recipe, score_tasks=("story", "translate"), score_max_items=1)
    model, tokenizer = load_model(str(model_folder)), load_tokenizer(str(model_folder))
    assert set(SuiteScorer(chosen, run)(model, tokenizer)) == {"story", *CELLS}
    suite = Suite.of(recipe, run)
    first, again = (suite.smaller(["story"], 2, tmp_path) for _ in range(2))
    assert first.items == again.items and list(first.tasks) == ["story"]
    ids = [item["id"] for item in first.items["story"]]
    assert len(ids) == 2 and ids == sorted(ids) and set(ids) < {item["id"] for item in ITEMS["story"]}
    lines = (tmp_path / "story.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    assert list(suite.smaller([], 99, tmp_path).tasks) == list(TASKS)


@pytest.mark.slow
def test_the_fingerprint_changes_with_tasks_and_items_and_nothing_else(recipe: Recipe, run: RunFolder) -> None:
    def found(**settings: object) -> str:
        return SuiteScorer(with_settings(recipe, **settings), run).fingerprint

    whole = found()
    # More items than there are, and how training runs.
    assert whole == found(score_max_items=10_000) == found(score_tasks=tuple(TASKS), micro_batch_tokens=100)
    others = [found(score_tasks=("story",)), found(score_tasks=("translate",)), found(score_max_items=1)]
    items = run.evaluation_set("story") / "items.jsonl"
    write_jsonl(items, [{**item, "id": f"other {number}"} for number, item in enumerate(read_jsonl(items))])
    assert len({whole, *others, found()}) == 5
