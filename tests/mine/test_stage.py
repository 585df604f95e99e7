"""A system answers its training prompts, and what fails becomes pairs that another system learns from."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.generate import generation
from crosstune.mine import answers as mine_answers
from crosstune.mine.stage import mine
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import notes, ranks
from crosstune.runs.files import read_json, read_jsonl, write_jsonl
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.train import stage as train_stage
from tests.command_line import crosstune
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

SYSTEMS: dict[str, Any] = {
    "base": scratch(phases=[phase("pairs", num_steps=3)]),
    "cured": {
        "start": "base",
        "tokenizer": "base",
        "phases": [
            phase("failures", method="preference", preference={"objective": "dpo"}, num_steps=2, global_batch_size=4)
        ],
    },
}
SOURCES = {
    "pairs": {"kind": "parallel", "paths": ["pairs.json"]},
    "korean": {"kind": "text", "language": "ko", "paths": ["korean.txt"]},
}
ITEM = {"id": "1", "en": "my friend is very old", "ko": "아무도 모른다", "origin": "test.json:1"}


@pytest.fixture
def small(make_run: MakeRun, tmp_path: Path) -> tuple[Recipe, RunFolder]:  # noqa: F811
    found, run = make_run({"base": SYSTEMS["base"]})
    content = json.loads(found.model_dump_json(exclude_none=True))
    content["data"]["sources"] |= SOURCES
    content["data"]["mixtures"]["pairs"] = [
        {"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]}
    ]
    content["mine"] = {"failures": {"system": "base", "mixture": "pairs", "max_prompts": 12, "max_new_tokens": 12}}
    task = {"task": "translation", "paths": ["test.json"], "directions": ["en-ko"], "instruction_languages": ["en"]}
    content["evaluate"]["tasks"] = {"translate": task}
    content["systems"] = SYSTEMS
    with whole_folder(run.evaluation_set("translate"), "test-set", {"task": "translation"}) as folder:
        write_jsonl(folder / "items.jsonl", [ITEM])
    return yaml_file.validate(content, "test"), run


def only(recipe: Recipe, *names: str) -> Recipe:
    return recipe.model_copy(update={"systems": {name: recipe.systems[name] for name in names}})


def test_training_mines_what_a_phase_learns_from(small: tuple[Recipe, RunFolder]) -> None:
    recipe, run = small
    train_stage.run(recipe, run, mine=mine)
    folder = run.mixture("failures")
    rows, manifest = read_jsonl(folder / "pairs.jsonl"), read_json(folder / "manifest.json")
    # After three steps, every answer fails in some way.
    assert manifest["total"] == len(rows) == manifest["answers"] == 12
    assert sum(manifest["pairs"].values()) == len(rows) > 5 and manifest["chosen_from"] == {"reference": len(rows)}
    assert (manifest["system"], manifest["mixture"]) == ("base", "pairs")
    table = pq.read_table(folder / "examples.parquet").to_pylist()
    assert [row["source"] for row in table] == ["pairs (chosen)", "pairs (rejected)"] * len(rows)
    for pair, chosen, rejected in zip(rows, table[::2], table[1::2], strict=True):
        assert chosen["prompt"] == rejected["prompt"] == pair["prompt"] and chosen["origin"] == pair["origin"]
        assert chosen["completion"] == f"\n{pair['chosen']}" and not chosen["is_open"]
        assert rejected["is_open"] == ("no stop" in pair["failures"]) == (not pair["finished"])
    assert len(metrics(run, "cured")) == 2 and "preference" in metrics(run, "cured")[0]


def test_no_prompt_or_answer_shares_text_with_an_evaluation_set(small: tuple[Recipe, RunFolder]) -> None:
    recipe, run = small
    train_stage.run(only(recipe, "base"), run)
    held_out = "a house is big"
    with whole_folder(run.evaluation_set("translate"), "other-set", {"task": "translation"}) as folder:
        write_jsonl(folder / "items.jsonl", [{**ITEM, "en": held_out}])
    everything = recipe.mine["failures"].model_copy(update={"max_prompts": None})
    # Also where training rows are not compared: pairs always are.
    quality = recipe.data.quality.model_copy(update={"drop_evaluation_overlap": False})
    changed = {"mine": {"failures": everything}, "data": recipe.data.model_copy(update={"quality": quality})}
    mine(recipe.model_copy(update=changed), run, "failures")
    assert all(held_out not in row["prompt"] for row in read_jsonl(run.mixture("failures") / "pairs.jsonl"))
    dropped = read_jsonl(run.mixture("failures") / "dropped.jsonl")
    assert [row["evaluation_set"] for row in dropped if row["reason"].startswith("overlap")] == ["translate"]


def test_pairs_are_kept_as_long_as_what_they_are_made_from(
    small: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = small
    train_stage.run(only(recipe, "base"), run)
    before = notes.digest_of(run, "data")
    mine(recipe, run, "failures")
    # They are no output of the data stage, which would make what was trained look outdated.
    assert notes.digest_of(run, "data") == before
    monkeypatch.setattr(mine_answers, "generate", None)
    mine(recipe, run, "failures")
    other = recipe.mine["failures"].model_copy(update={"max_new_tokens": 11})
    with pytest.raises(TypeError):
        mine(recipe.model_copy(update={"mine": {"failures": other}}), run, "failures")


def test_answers_of_an_interrupted_run_are_not_written_again(
    small: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = small
    train_stage.run(only(recipe, "base"), run)
    asked = []

    def a_few(model: Any, prompts: Any, *others: Any) -> Any:
        asked.append(len(prompts))
        for number, found in enumerate(generation.generate(model, prompts, *others)):
            if number == 5 and len(asked) == 1:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(mine_answers, "generate", a_few)
    with pytest.raises(KeyboardInterrupt):
        mine(recipe, run, "failures")
    assert not run.mixture("failures").exists()
    mine(recipe, run, "failures")
    assert asked == [12, 7] and read_json(run.mixture("failures") / "manifest.json")["answers"] == 12
    assert not list(run.mixture("failures").parent.glob(".failures*"))


def test_where_no_answer_fails_there_is_nothing_to_learn_from(small: tuple[Recipe, RunFolder]) -> None:
    recipe, run = small
    train_stage.run(only(recipe, "base"), run)
    none = recipe.mine["failures"].model_copy(update={"failures": ("mixed language",)})
    with pytest.raises(BadInputError, match=r"none of 12 answers of base gave a pair.*leave the phase out"):
        mine(recipe.model_copy(update={"mine": {"failures": none}}), run, "failures")


def test_several_processes_do_not_mine_each(small: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = small
    train_stage.run(only(recipe, "base"), run)
    monkeypatch.setattr(ranks, "num_ranks", lambda: 2)
    with pytest.raises(RunFolderError, match=r"run `crosstune mine .*` first"):
        mine(recipe, run, "failures")


def test_the_command_names_what_it_wants(small: tuple[Recipe, RunFolder], tmp_path: Path) -> None:
    recipe, run = small
    missing = crosstune("mine", str(tmp_path))
    assert missing.returncode == 2 and "is not a run folder" in missing.stderr
    run.recipe.write_text(yaml_file.dump(only(recipe, "base").model_copy(update={"mine": {}})), encoding="utf-8")
    without = crosstune("mine", str(run.root))
    assert without.returncode == 2 and "mine.failures={system: base, mixture: paper}" in " ".join(
        without.stderr.split()
    )
    untrained = crosstune("mine", str(run.root), "mine.failures={system: base, mixture: pairs}")
    assert untrained.returncode == 2 and "is not trained yet" in " ".join(untrained.stderr.split())
