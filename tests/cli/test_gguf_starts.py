"""What a GGUF file cannot be used for is said by a dry run, for the model and for the tokenizer."""

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from crosstune.cli.inputs import check_inputs
from crosstune.errors import BadInputError
from crosstune.recipe import yaml_file
from tests.models.gguf.files import llama_config, write_gguf


def recipe_of(content: dict[str, Any], folder: Path, **how: Any) -> Any:
    write_gguf(folder / "tiny.gguf", LlamaForCausalLM(llama_config()), **how)
    content["data_root"] = str(folder)
    content["tokenizer"]["base"]["path"] = content["systems"]["base"]["start"] = "tiny.gguf"
    return yaml_file.validate(content, "recipe.yaml")


@pytest.mark.slow
def test_a_whole_file_passes(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    check_inputs(recipe_of(recipe_content, tmp_path))


def test_faults_of_model_and_tokenizer_are_told_together(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_of(
        recipe_content, tmp_path, settings={"llama.rope.scaling.factor": 4.0}, tokenizer={"pre": "gpt-9"}
    )
    with pytest.raises(BadInputError) as caught:
        check_inputs(recipe)
    model, tokenizer = sorted(str(caught.value).splitlines())
    assert model.startswith("systems.base.start: ") and "llama.rope.scaling.factor = 4.0" in model
    assert tokenizer.startswith("tokenizer.base.path: ") and "text is cut as 'gpt-9'" in tokenizer
