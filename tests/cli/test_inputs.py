"""What a dry run refuses before any data is read: models, tokenizers and templates that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.cli.inputs import check_inputs, look_at
from crosstune.errors import BadInputError
from crosstune.recipe import yaml_file
from tests.models.test_bad_folders import good
from tests.train.conftest import sentencepiece_style

__all__ = ["good"]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ raise_exception('only agents') }}", r"data\.prompt: the chat template of .* fails: .*only agents"),
        ("{% if %}", r"data\.prompt: the chat template of .* fails: TemplateSyntaxError"),
        ("{{ strftime_now(fmt) }}{{ messages }}", r"data\.prompt: the chat template of .* writes today's date"),
    ],
)
def test_a_template_that_cannot_be_used_is_told_at_the_dry_run(
    recipe_content: dict[str, Any], tmp_path: Path, template: str, told: str
) -> None:
    tokenizer = sentencepiece_style(["a cat"], 270)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    shape = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 24}
    recipe_content["data_root"] = str(tmp_path)
    recipe_content["data"] |= {"prompt": "chat", "template_date": "2026-11-29"}
    phase = recipe_content["systems"]["ours"]["phases"][0]
    scratch = {"start": "scratch", "tokenizer": "base", "architecture": shape, "phases": [phase]}
    recipe_content["systems"]["base"] = scratch
    with pytest.raises(BadInputError, match=told):
        check_inputs(yaml_file.validate(recipe_content, "test"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, r"systems\.base\.start: .*weights are quantized \(gptq;"),
        ({"quantization_config": {"quant_method": "fp8"}}, r"quantized \(fp8;"),
        ({"quantization_config": {"load_in_4bit": True}}, r"quantized \(unknown;"),
        ({"model_type": "exaone9", "auto_map": {"AutoModel": "a.B"}}, r"Python code in its own folder \(auto_map"),
    ],
)
def test_a_model_that_cannot_be_trained_is_told_in_a_sentence_at_the_dry_run(
    recipe_content: dict[str, Any], good: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes((good / "model.safetensors").read_bytes())
    config = json.loads((good / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | changes))
    recipe_content["data_root"] = str(tmp_path)
    with pytest.raises(BadInputError, match=told):
        check_inputs(yaml_file.validate(recipe_content, "test"))


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            {"chat_template": True},
            r"evaluate\.tasks\.mmlu asks in the chat template, but the tokenizer .* has no chat template\. .*"
            r"remove its chat_template",
        ),
        (
            {"copies": "hub"},
            r"evaluate\.tasks\.mmlu\.copies: .*/hub is not a folder: give the one that holds OWNER/NAME",
        ),
    ],
)
def test_what_a_task_of_the_harness_lacks_is_told_at_the_dry_run(
    recipe_content: dict[str, Any], tmp_path: Path, task: dict[str, Any], told: str
) -> None:
    sentencepiece_style(["a cat"], 270).save_pretrained(tmp_path / "tokenizer")
    recipe_content["data_root"] = str(tmp_path)
    recipe_content["evaluate"]["tasks"]["mmlu"] = {"task": "harness", "name": "mmlu", "language": "en", **task}
    with pytest.raises(BadInputError, match=told):
        look_at(yaml_file.validate(recipe_content, "test"), ("evaluate",))
