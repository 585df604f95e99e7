"""Model cards: metadata that the hub can read, results beside the reference, data and hashes, no stray markup."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.write.markdown import escape
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import hash_model
from tests.report.conftest import make_recipe, write_run
from tests.report.test_run_facts import GGUF


@pytest.fixture
def card(recipe: Recipe, run: RunFolder) -> str:
    return written(recipe, run)


def written(recipe: Recipe, run: RunFolder, system: str = "ours") -> str:
    folder = run.system(system) / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    stage.run(recipe, run)
    return (folder / "README.md").read_text(encoding="utf-8")


def metadata(card: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(card.split("---\n")[1]))


@pytest.mark.slow
def test_the_metadata_hold_every_score_in_the_hubs_form(card: str, run: RunFolder) -> None:
    found = metadata(card)
    assert found["language"] == ["en", "ko"] and found["library_name"] == "transformers"
    scores = json.loads((run.system("ours") / "evaluation" / "scores.json").read_text())["scores"]
    results = found["model-index"][0]["results"]
    assert {
        (result["dataset"]["type"], result["metrics"][0]["type"]): result["metrics"][0]["value"] for result in results
    } == {(row["task"], row["metric"]): row["value"] for row in scores}


@pytest.mark.slow
def test_the_card_shows_this_model_beside_the_reference_only(card: str) -> None:
    table = card.split("# Results")[1]
    assert "| LLaMA (base) |" in table and "| LLaMA (ours, the paper's) |" in table
    assert "bilingual" not in table and "LoRA" not in table
    assert "Gains and forgetting" in table
    # What compares a system with others that are not shown.
    assert "†" not in table and "‡" not in table


@pytest.mark.slow
def test_the_card_says_what_it_was_trained_on(card: str) -> None:
    assert "phase 1: full on the mixture `paper`, epochs: 1, 8 rows per step, learning rate 0.0006" in card
    assert "aihub: 11,950 examples of 12,000 rows of `pairs.json`; dropped: 50" in card
    assert (
        "### Instruction:\nTranslate the following sentences from English to Korean\nYour text\n### Response:" in card
    )


@pytest.mark.slow
def test_only_trained_systems_have_a_card_and_it_does_not_change_the_models_hash(
    recipe: Recipe, run: RunFolder
) -> None:
    before = written(recipe, run) and hash_model(run.system("ours") / "model")
    (run.system("ours") / "model" / "README.md").write_text("other")
    assert hash_model(run.system("ours") / "model") == before
    assert not (run.system("lora") / "model").exists()


@pytest.mark.slow
def test_a_base_from_the_hub_and_a_licence_are_named(tmp_path: Path) -> None:
    systems = make_recipe(tmp_path).model_dump(mode="json", exclude_none=True)["systems"]
    systems["llama"] = {
        "start": "meta-llama/Llama-2-7b-hf",
        "revision": "a" * 40,
        "tokenizer": "base",
        "label": "LLaMA (base)",
    }
    recipe = make_recipe(tmp_path, systems=systems, report={"model_license": "llama2"})
    found = metadata(written(recipe, write_run(recipe)))
    assert found["base_model"] == "meta-llama/Llama-2-7b-hf" and found["license"] == "llama2"


def test_a_licence_that_the_hub_has_no_name_for_is_another_one_with_its_name(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, report={"model_license": "exaone"})
    found = metadata(written(recipe, write_run(recipe)))
    assert (found["license"], found["license_name"]) == ("other", "exaone")


@pytest.mark.slow
def test_a_card_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    systems = make_recipe(tmp_path).model_dump(mode="json", exclude_none=True)["systems"]
    systems["llama"] = {"start": "/home/kim/secret/llama7b", "tokenizer": "base", "label": "LLaMA (base)"}
    recipe = make_recipe(tmp_path, systems=systems)
    run = write_run(recipe)
    facts = json.loads((run.root / "run.json").read_text())
    facts["command"] = (
        "crosstune run ../kim/r.yaml runs_root=/home/kim/runs 'data_root=C:\\\\Users\\\\kim\\\\data' seed=2"
    )
    (run.root / "run.json").write_text(json.dumps(facts))
    found = written(recipe, run)
    assert "kim" not in found and "base_model" not in metadata(found)
    assert "comes from `llama7b`" in found and "`crosstune run r.yaml runs_root=runs data_root=data seed=2`" in found


def test_markdown_of_others_makes_neither_images_nor_links_nor_moves_a_terminal() -> None:
    escaped = escape("![x](http://tracker) [x](javascript:alert) [a][b] <b> \x1b[2J")
    assert "](" not in escaped and "][" not in escaped and "\x1b" not in escaped and "\\<b>" in escaped


@pytest.mark.slow
def test_the_card_says_that_the_first_weights_were_dequantized(recipe: Recipe, run: RunFolder) -> None:
    facts = read_json(run.system("ours") / "system.json")
    write_json(run.system("ours") / "system.json", {**facts, "gguf": GGUF})
    assert "the weights that all began with were dequantized from tiny.gguf (Tiny, apache-2.0)" in written(recipe, run)


@pytest.mark.slow
def test_the_prompt_of_the_card_starts_with_the_bos_that_the_model_reads(recipe: Recipe, run: RunFolder) -> None:
    write_json(run.tokenizer("base") / "tokenizer_config.json", {"bos_token": "<|im_start|>"})
    card = written(recipe, run)
    assert "\n```\n<|im_start|>### Instruction:" in card and "The first token, `<|im_start|>`, is the BOS" in card
