"""vLLM in the place of our own loop: the same prompts, limits and stops. vLLM itself needs a GPU and is acted here."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.evaluate import stage
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.generate.vllm_engine import writer
from crosstune.evaluate.systems import TrainedSystem
from crosstune.models.load import load_model
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RunFolder
from tests.evaluate.test_stage import recipe, run
from tests.launched import launched

__all__ = ["recipe", "run"]


class Engine:
    """Answers as vLLM's LLM does: token ids with the stop token behind them, in the order of the prompts."""

    def __init__(self, model: str, tokenizer: str, **settings: Any) -> None:
        self.model, self.settings = load_model(model), settings
        assert tokenizer and settings["dtype"] == "float32"

    def generate(self, prompts: list[dict[str, list[int]]], parameters: list[Any], use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        found = []
        for prompt, wanted in zip(prompts, parameters, strict=True):
            assert wanted.temperature == 0 and not wanted.detokenize
            [eos] = wanted.stop_token_ids
            limits = Limits(wanted.max_tokens, 2**20, 1, 2**20)
            [(_, written)] = generate(self.model, [prompt["prompt_token_ids"]], {eos}, limits)
            tokens = [*written.tokens, *([eos] if written.finished else [])]
            found.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=tokens)]))
        return found


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = Engine, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


@pytest.mark.slow
@pytest.mark.usefixtures("vllm")
def test_its_answers_are_our_own_loops(llama: PreTrainedModel, model_folder: Any) -> None:
    system = TrainedSystem("ours", str(model_folder), None, str(model_folder), "")
    prompts, limits = [[1, 5, 9], [1, 7], [1] * 19, [1, 300, 301, 302]], Limits(8, 20, 4, 64)
    # A token that the model does write stands for the EOS, so that some rows stop by themselves.
    eos = dict(generate(load_model(str(model_folder)), prompts, (), limits))[1].tokens[3]
    ours = dict(generate(load_model(str(model_folder)), prompts, {eos}, limits))
    found = dict(writer(system, "float32")(prompts, {eos}, limits))
    assert found == ours
    assert {answer.finished for answer in found.values()} == {True, False}
    full = Limits(8, 19, 4, 64)
    assert dict(writer(system, "float32")(prompts, {eos}, full))[2] == ours[2].__class__((), False)


@pytest.mark.slow
@pytest.mark.usefixtures("vllm")
def test_the_stage_scores_its_answers_and_says_so(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    folder = run.system("base") / "evaluation"
    rows, scores = read_jsonl(folder / "outputs.jsonl"), read_json(folder / "scores.json")["scores"]
    with_vllm = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"engine": "vllm"})})
    stage.run(with_vllm, run)
    assert read_jsonl(folder / "outputs.jsonl") == rows
    found = read_json(folder / "scores.json")["scores"]
    assert [score["value"] for score in found] == [score["value"] for score in scores]
    assert {"engine:vllm" in score["signature"] for score in found if score["task"] == "nsmc"} == {True}
    assert not any("engine:" in score["signature"] for score in scores)


def test_without_it_an_error_says_what_to_install(recipe: Recipe, run: RunFolder, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with_vllm = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"engine": "vllm"})})
    with pytest.raises(BadInputError, match=r"vllm cannot be imported.*crosstune\[vllm\].*engine: transformers"):
        stage.run(with_vllm, run)


@pytest.mark.usefixtures("vllm")
def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 4)
    with pytest.raises(BadInputError, match="4 processes were launched"):
        writer(TrainedSystem("ours", "m", None, "t", ""), "bf16")


@pytest.mark.usefixtures("vllm")
def test_a_gguf_file_is_not_given_to_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").touch()
    system = TrainedSystem("base", str(tmp_path / "tiny.gguf"), None, str(tmp_path), "")
    with pytest.raises(BadInputError, match=r"vLLM would read the GGUF file .*tiny.gguf differently"):
        writer(system, "float32")
