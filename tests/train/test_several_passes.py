"""Models that read a micro-batch in several passes, on processes that need different numbers of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast, StableLmConfig, StableLmForCausalLM

from crosstune.runs.files import read_json
from crosstune.train import stage as train_stage
from tests.ranks import train_on_two
from tests.train.conftest import MakeRun, losses, phase, weights

# Its attention takes no layout of packed rows: they are read right-padded.
SHAPE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}


def written(folder: Path, tokenizer: PreTrainedTokenizerFast) -> str:
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = StableLmConfig(**SHAPE, **ends, vocab_size=len(tokenizer), num_key_value_heads=2)
    StableLmForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["ddp", "fsdp2"])
def test_two_processes_that_need_different_numbers_of_passes_train_as_one_does(
    make_run: MakeRun, tmp_path: Path, base_tokenizer: PreTrainedTokenizerFast, sharded: bool
) -> None:
    model = written(tmp_path / "stablelm", base_tokenizer)
    # Rows of several documents, of one to seven sentences.
    learnt = phase("korean", num_steps=4, global_batch_size=3, max_length_tokens=120)
    systems = {"base": {"start": model, "tokenizer": "base", "phases": [learnt]}}
    recipe, single = make_run(systems, root=tmp_path / "single")
    train_stage.run(recipe, single)
    recipe, double = make_run(systems)
    train_on_two(recipe, tmp_path, sharded).finish()
    (done,) = read_json(double.system("base") / "system.json")["phases"]
    assert (done["num_processes"], done["reading"]["way"]) == (2, "right-padded")
    assert losses(double) == pytest.approx(losses(single), rel=1e-5)
    for name, weight in weights(single).items():
        torch.testing.assert_close(weights(double)[name], weight, rtol=1e-3, atol=5e-5)
