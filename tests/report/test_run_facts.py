from typing import Any

import pytest

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.run_facts import MixturePartFacts, read_run_facts
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder


@pytest.mark.slow
def test_times_and_tokens_are_summed_over_systems(recipe: Recipe, run: RunFolder) -> None:
    facts = read_run_facts(recipe, run)
    assert facts.training_tokens == 5 * 912_345
    assert facts.training_seconds == pytest.approx(5 * 82.4)
    assert facts.seconds == {"data": 61.0, "train": 61.0, "evaluate": 61.0}


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        ("crosstune run recipes/a.yaml --quick", "crosstune run recipes/a.yaml --quick"),
        ("crosstune --quiet report recipes/a.yaml seed=2", "crosstune --quiet run recipes/a.yaml seed=2"),
        ("crosstune report a.yaml --fail-on-forgetting", "crosstune run a.yaml"),
        ("crosstune data data data_root=data --audit", "crosstune run data data_root=data"),
        ("crosstune score model --data-root data", "crosstune score model --data-root data"),
    ],
)
def test_the_command_is_that_of_the_whole_run_whichever_stage_was_last(
    recipe: Recipe, run: RunFolder, noted: str, wanted: str
) -> None:
    write_json(run.root / "run.json", {"command": noted, "stages": {}})
    assert read_run_facts(recipe, run).command == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts",
    [
        {"parts": [{"source": "aihub", "rows_read": 9, "examples": 7, "dropped": {"empty": 2}}]},
        {"sources": {"aihub": {"rows_read": 9, "examples": 7, "dropped": {"empty": 2}}}},
    ],
)
def test_a_mixtures_parts_are_listed_with_their_drops(recipe: Recipe, run: RunFolder, parts: dict[str, Any]) -> None:
    write_json(run.mixture("paper") / "manifest.json", {"fingerprint": "x", "total": 7, **parts})
    mixture = read_run_facts(recipe, run).mixtures[0]
    assert mixture.parts == (MixturePartFacts("aihub", 9, 7, {"empty": 2}),)
    assert mixture.used_by[0] == "LLaMA (base)"


@pytest.mark.slow
def test_fertility_sets_the_tokenizers_beside_one_another(recipe: Recipe, run: RunFolder) -> None:
    korean = read_run_facts(recipe, run).fertility[0]
    assert korean.language == "ko"
    assert {name: figures[0] for name, figures in korean.by_tokenizer.items()} == {"base": 6.41, "extended": 1.93}


@pytest.mark.slow
def test_the_extension_is_told_with_its_proof_and_its_parity(recipe: Recipe, run: RunFolder) -> None:
    extension = read_run_facts(recipe, run).extension
    assert extension is not None and (extension.num_pieces, extension.num_new) == (2304, 904)
    assert extension.properties == (("old pieces keep their ids", 1400, 0),)
    assert extension.parity == {"news": {"base": 3.199, "extended": 1.027}}
    stage.run(recipe, run)
    page = (run.report / "report.html").read_text(encoding="utf-8")
    assert (
        "The sentences of news take 3.20 times as many tokens in Korean as in English with the base tokenizer" in page
    )
    assert "1.03 times as many tokens in Korean as in English with the extended tokenizer." in page
    (run.tokenizer("extended") / "manifest.json").unlink()
    assert read_run_facts(recipe, run).extension is None


GGUF = {
    "file": "tiny.gguf",
    "name": "Tiny",
    "license": "apache-2.0",
    "formats": {"Q4_1": 210, "F32": 61},
    "special_tokens": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
    "chat_template": True,
}


@pytest.mark.slow
def test_a_start_from_a_gguf_file_is_told_with_formats_tokens_and_template(recipe: Recipe, run: RunFolder) -> None:
    name = next(name for name, system in recipe.systems.items() if system.start not in recipe.systems)
    start = recipe.systems[name].model_copy(update={"start": "models/tiny.gguf", "architecture": None})
    started = recipe.model_copy(update={"systems": {**recipe.systems, name: start}})
    write_json(run.system(name) / "system.json", {**read_json(run.system(name) / "system.json"), "gguf": GGUF})
    facts = read_run_facts(started, run)
    assert facts.systems[[*recipe.systems].index(name)].start == (
        "models/tiny.gguf: dequantized from tiny.gguf (Tiny, apache-2.0), whose tensors are stored as 210 in Q4_1, "
        "61 in F32; with its chat template; special tokens: bos_token <|im_start|>, eos_token <|im_end|>"
    )
    stage.run(started, run)
    assert "210 in Q4_1" in (run.report / "report.html").read_text(encoding="utf-8")
