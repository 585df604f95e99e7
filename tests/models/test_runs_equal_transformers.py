"""What commands make of hybrids, sinks and ALiBi is what plain transformers does, row by row: scores, loss, weights."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.tokens.store import mixture_tokens
from tests.models.architectures import build
from tests.models.test_whole_runs import make_recipe, write_tokenizer_and_data

pytestmark = pytest.mark.slow
RATE, BETAS = 1e-2, (0.9, 0.95)
ENDINGS = ("eats.", "reads a book.", "sings.", "sleeps.")


def one_step(root: Path) -> Recipe:
    content = json.loads(make_recipe(root).model_dump_json(exclude_unset=True))
    content["tokenizer"].pop("extension")
    phase = {"mixture": "pairs", "method": "full", "num_steps": 1, "global_batch_size": 12, "learning_rate": RATE}
    phase |= {"schedule": "constant", "warmup_ratio": 0.0, "adam_betas": list(BETAS), "max_grad_norm": 1e9}
    content["systems"] = {
        "base": {"start": "model", "tokenizer": "base"},
        "trained": {"start": "base", "tokenizer": "base", "phases": [phase]},
    }
    return yaml_file.validate(content, "test")


def log_likelihood(model: PreTrainedModel, row: list[int], num_given: int) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([row[:-1]]), use_cache=False).logits[0, num_given - 1 :].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(row[num_given:])[:, None]).sum()


@pytest.mark.parametrize("name", ["qwen3_5_text", "gpt_oss", "falcon (ALiBi)"])
def test_a_whole_run_is_plain_transformers(name: str, tmp_path: Path) -> None:
    size = write_tokenizer_and_data(tmp_path)
    model = build(name)
    model.resize_token_embeddings(size, mean_resizing=False)
    torch.manual_seed(1)
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path / "model")
    recipe = one_step(tmp_path)
    run = RunFolder(tmp_path / "runs" / "whole")
    pipeline.run_stages(recipe, pipeline.STAGE_NAMES[:4], "crosstune run", update=False)

    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.tokenizer("base"))
    lines = (run.system("base") / "evaluation" / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["task"] == "hellaswag"]
    assert len(rows) == 4
    for row in rows:
        given = tokenizer.encode(row["prompt"])
        for ending, found in zip(ENDINGS, row["log_likelihoods"], strict=True):
            with torch.no_grad():
                wanted = log_likelihood(plain, tokenizer.encode(f"{row['prompt']} {ending}"), len(given))
            assert found == pytest.approx(float(wanted), abs=1e-4)

    table = mixture_tokens(run, "pairs", "base")
    examples = list(zip(table["tokens"].to_pylist(), table["num_prompt"].to_pylist(), strict=True))
    loss = -sum(log_likelihood(plain, *example) for example in examples)
    loss = loss / sum(len(tokens) - num_prompt for tokens, num_prompt in examples)
    loss.backward()
    (step,) = map(json.loads, (run.system("trained") / "metrics.jsonl").read_text().splitlines())
    assert step["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 1e9)
    assert step["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    trained = dict(AutoModelForCausalLM.from_pretrained(run.system("trained") / "model").named_parameters())
    for key, weight in plain.named_parameters():
        # The first step of AdamW goes by the sign of the gradient: where that is nothing but rounding, either way.
        clear = weight.grad is not None and weight.grad.abs() > 1e-3 * weight.grad.abs().max()
        if weight.grad is not None and weight.grad.abs().max() > 1e-6:
            wanted = weight - RATE * weight.grad / (weight.grad.abs() + 1e-8)
            torch.testing.assert_close(trained[key][clear], wanted[clear], rtol=1e-4, atol=1e-4)
