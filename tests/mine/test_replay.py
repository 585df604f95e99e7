"""The start of a system answers prompts, and the system learns its answers beside what is new."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crosstune.errors import BadInputError, RecipeError
from crosstune.mine import answers as mine_answers
from crosstune.mine import replay as mine_replay
from crosstune.mine.answers import SystemAnswer
from crosstune.mine.questions import TrainingPrompt
from crosstune.mine.replay import write_replay
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import notes
from crosstune.runs.files import read_json, read_jsonl, write_jsonl
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.train import stage as train_stage
from tests.train.conftest import (  # noqa: F401 - fixtures
    MakeRun,
    base_tokenizer,
    extended_tokenizer,
    make_run,
    metrics,
    phase,
    scratch,
    tokenizers,
)

REPLAY = {"by": "start", "prompts": "pairs", "tokens": 40, "max_new_tokens": 12}
FOLDER = "replay.base.pairs.40.12"
HELD_OUT = "nobody knows what this is"


def content_of(recipe: Recipe) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(recipe.model_dump_json(exclude_none=True))
    content["data"]["sources"]["pairs"] = {"kind": "parallel", "paths": ["pairs.json"]}
    part = {"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]}
    content["data"]["mixtures"]["pairs"] = [part]
    task = {"task": "translation", "paths": ["test.json"], "directions": ["en-ko"], "instruction_languages": ["en"]}
    content["evaluate"]["tasks"] = {"translate": task}
    ours = {"start": "base", "tokenizer": "base", "phases": [phase("korean", num_steps=2, replay=REPLAY)]}
    content["systems"]["ours"] = ours
    return content


@pytest.fixture
def small(make_run: MakeRun) -> tuple[Recipe, RunFolder]:  # noqa: F811
    found, run = make_run({"base": scratch(phases=[phase("pairs", num_steps=1)])})
    item = {"id": "1", "en": HELD_OUT, "ko": "아무도 모른다", "origin": "test.json:1"}
    with whole_folder(run.evaluation_set("translate"), "test-set", {"task": "translation"}) as folder:
        write_jsonl(folder / "items.jsonl", [item])
    return yaml_file.validate(content_of(found), "test"), run


def answered(prompts: Sequence[TrainingPrompt], *_: Any) -> list[SystemAnswer]:
    """Answer as a trained model would: most answers end, one not, one is empty, one says a test item."""
    known = {1: SystemAnswer("\nand so on", False), 2: SystemAnswer("\n", True), 3: SystemAnswer(f"\n{HELD_OUT}", True)}
    return [known.get(place, SystemAnswer("\nit is a house", True)) for place in range(len(prompts))]


@pytest.mark.whole
def test_answers_of_the_start_are_written_once_and_learnt_beside_the_mixture(
    small: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = small
    monkeypatch.setattr(mine_replay, "answers_to", answered)
    before = notes.digest_of(run, "data")
    train_stage.run(recipe, run, replay=write_replay)
    manifest = read_json(run.mixture(FOLDER) / "manifest.json")
    rows = pq.read_table(run.mixture(FOLDER) / "examples.parquet").to_pylist()
    assert (manifest["replay_of"], manifest["mixture"], manifest["answers"]) == ("base", "pairs", 20)
    assert manifest["total"] == len(rows) and 40 <= manifest["tokens"] < 60
    assert {row["completion"] for row in rows} == {"\nit is a house"} and rows[0]["source"] == "pairs (replay)"
    reasons = [row["reason"] for row in read_jsonl(run.mixture(FOLDER) / "dropped.jsonl")]
    assert sorted(reasons) == ["did not end", "nothing was written", "overlap with an evaluation set"]
    assert read_json(run.system("ours") / "system.json")["phases"][0]["replay"]["prompts"] == "pairs"
    learnt = {corpus for row in metrics(run, "ours") for corpus in row["sources"]}
    assert any("replay" in corpus for corpus in learnt), learnt
    # No output of the data stage, which would make what was trained look outdated; and not written again.
    assert notes.digest_of(run, "data") == before
    monkeypatch.setattr(mine_replay, "answers_to", None)
    train_stage.run(recipe, run, replay=write_replay)


@pytest.mark.whole
def test_an_interrupted_replay_goes_on_and_says_why_nothing_can_be_learnt(
    small: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = small
    train_stage.run(recipe.model_copy(update={"systems": {"base": recipe.systems["base"]}}), run)
    generate, written = mine_answers.generate, []

    def broken_off(*arguments: Any) -> Any:
        for answer in generate(*arguments):
            if len(written) == 7:
                raise KeyboardInterrupt
            written.append(answer)
            yield answer

    monkeypatch.setattr(mine_answers, "generate", broken_off)
    with pytest.raises(KeyboardInterrupt):
        write_replay(recipe, run, "ours", 0)
    again: list[Any] = []
    monkeypatch.setattr(mine_answers, "generate", lambda *given: (again.append(one) or one for one in generate(*given)))
    # After one step of training no answer ends.
    with pytest.raises(BadInputError, match=r"ours\.phases\.0\.replay: none of 20 answers of base .*did not end"):
        write_replay(recipe, run, "ours", 0)
    assert len(again) == 20 - 7 and not run.mixture(FOLDER).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"systems.ours.start": "./folder"},
            r"replay: the start './folder' writes the answers, so it has to be a system: add",
        ),
        ({"systems.ours.phases.0.replay.prompts": "alpaca"}, r"replay\.prompts: 'alpaca' is not a mixture; there are"),
        ({"systems.ours.phases.0.replay.prompts": "korean"}, r"'korean' holds plain text, which asks nothing"),
        ({"systems.ours.phases.0.replay.by": "chat"}, r"replay\.by: Input should be 'start'"),
        ({"systems.ours.phases.0.replay.tokens": 0}, r"replay\.tokens: Input should be greater than or equal to 1"),
    ],
)
def test_a_replay_that_cannot_be_is_told_with_the_recipe(
    small: tuple[Recipe, RunFolder], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml_file.dump(small[0]), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        yaml_file.load_recipe(path, [f"{key}={value}" for key, value in changes.items()])
