"""Held-out text while training: the right number, at the right steps, once, and without touching what is learnt."""

import copy
import json
from typing import Any

import pyarrow as pa
import pytest
import torch
from accelerate import Accelerator
from lm_eval.api.instance import Instance
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.errors import RecipeError
from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.models import packing
from crosstune.prompts.examples import Example, read_examples
from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.tokens.bits_per_byte import bits_per_byte
from crosstune.tokens.store import tokenize
from crosstune.train import stage as train_stage
from crosstune.train.validation import held_out_text, score_text
from tests.tokens.bits_by_hand import by_hand
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, phase, scratch

VALIDATED: dict[str, Any] = {"validation": "korean", "validate_every_steps": 3}


def scores(run: RunFolder, name: str = "base") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.system(name) / "validation.jsonl").read_text().splitlines()]


def weights(run: RunFolder, name: str = "base") -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(run.system(name) / "model").state_dict())


def test_it_is_scored_at_begin_and_end_and_every_so_many_steps(make_run: MakeRun) -> None:
    phases = [phase(num_steps=8), phase(num_steps=3)]
    recipe, run = make_run({"base": scratch(phases=phases)}, **VALIDATED)
    train_stage.run(recipe, run)
    assert [(row["phase"], row["step"]) for row in scores(run)] == [(0, 0), (0, 3), (0, 6), (0, 8), (1, 0), (1, 3)]
    assert all(row["bits_per_byte"].keys() == {"ko"} for row in scores(run))


def test_the_score_is_the_models_cross_entropy_over_the_texts_bytes(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()}, **VALIDATED)
    train_stage.run(recipe, run)
    model = AutoModelForCausalLM.from_pretrained(run.system("base") / "model")
    tokenizer = AutoTokenizer.from_pretrained(run.system("base") / "model")
    texts = [example.completion for example in read_examples(run.mixture("korean") / "examples.parquet")]
    assert scores(run)[-1]["bits_per_byte"]["ko"] == pytest.approx(by_hand(model, tokenizer, texts, 200), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("max_length", [5, 16, 64])
@pytest.mark.parametrize("bos", ["<s>", None])
def test_training_and_evaluation_give_one_number(
    base_tokenizer: PreTrainedTokenizerFast, bos: str | None, max_length: int
) -> None:
    tokenizer = copy.deepcopy(base_tokenizer)
    tokenizer.bos_token = bos
    config = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(**config, num_attention_heads=2, max_position_embeddings=max_length, initializer_range=0.4)
    )
    texts = ["The cat sleeps.", "고양이가 잔다. " * 4, "집"]
    examples = [Example("", text, "ko", "korean", f"k:{index}") for index, text in enumerate(texts)]
    tokens = tokenize(pa.Table.from_pylist([example._asdict() for example in examples]), tokenizer)
    model.set_attn_implementation(packing.ATTENTION)
    while_training = score_text(held_out_text(tokens, tokenizer, max_length), Accelerator(cpu=True), model, 40)["ko"]
    requests = [Instance("loglikelihood_rolling", {}, (text,), index) for index, text in enumerate(texts)]
    nats = -sum(CrosstuneLM(model.eval(), tokenizer).loglikelihood_rolling(requests))
    num_bytes = sum(len(text.encode()) for text in texts)
    model.set_attn_implementation("sdpa")
    expected = by_hand(model, tokenizer, texts, max_length)
    assert while_training == pytest.approx(expected, rel=1e-5)
    assert bits_per_byte(nats, num_bytes) == pytest.approx(expected, rel=1e-5)


def test_it_changes_nothing_of_what_is_learnt(make_run: MakeRun, tmp_path: Any) -> None:
    lora = {"rank": 2, "alpha": 4, "dropout": 0.5, "targets": ["q_proj"]}
    systems = {"base": scratch(), "lora": {"start": "base", "tokenizer": "base"}}
    systems["lora"] |= {"phases": [phase(method="lora", lora=lora)]}
    found = []
    for folder, settings in (("with", VALIDATED), ("without", {})):
        recipe, run = make_run(systems, root=tmp_path / folder, **settings)
        train_stage.run(recipe, run)
        found.append(weights(run) | {f"lora.{name}": weight for name, weight in weights(run, "lora").items()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("num_steps", [5, *(pytest.param(steps, marks=pytest.mark.exhaustive) for steps in (1, 9))])
def test_a_run_that_breaks_off_has_every_score_once(make_run: MakeRun, tmp_path: Any, num_steps: int) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=7), phase(num_steps=4)])}
    recipe, whole = make_run(systems, root=tmp_path / "whole", **VALIDATED)
    train_stage.run(recipe, whole)
    recipe, broken = make_run(systems, root=tmp_path / "broken", **VALIDATED)
    with pytest.raises(Interrupted), broken_off_after(num_steps):
        train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    assert scores(broken) == scores(whole)


def test_a_changed_system_is_scored_anew_from_its_begin(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()}, **VALIDATED)
    train_stage.run(recipe, run)
    before = scores(run)
    wider = scratch(architecture={"hidden_size": 48, "num_layers": 1, "num_heads": 4, "intermediate_size": 64})
    recipe, run = make_run({"base": wider}, **VALIDATED)
    train_stage.run(recipe, run)
    assert [row["step"] for row in scores(run)] == [row["step"] for row in before]
    assert scores(run)[0] != before[0]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ("nothing", r"train\.validation: 'nothing' is not a mixture"),
        ("paper", r"takes 'pairs', which is no plain text"),
        ("paper", r"systems\.ours\.phases\.0\.mixture: 'paper' is the validation text"),
    ],
)
def test_a_recipe_whose_validation_is_no_held_out_text_is_refused(
    recipe_content: dict[str, Any], validation: str, message: str
) -> None:
    recipe_content["train"] = {"validation": validation}
    with pytest.raises(RecipeError, match=message):
        yaml_file.validate(recipe_content, "test")
