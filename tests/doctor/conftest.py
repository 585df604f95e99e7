"""Model folders as small as can be: a LLaMA with a byte-level tokenizer, with and without weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.languages.parallel_sample import sample_of
from tests.tokenizer.conftest import byte_level

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A function that writes a model folder: with weights or without, with changes to its configuration."""

    def make(name: str = "model", weights: bool = True, template: str = "", **changes: Any) -> Path:
        folder = tmp_path / name
        base = byte_level(sample_of("en") or [], 400, ignore_merges=False)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=base.tokenizer, bos_token="<|begin|>", eos_token="<|end|>")
        if template:
            tokenizer.chat_template = template
        torch.manual_seed(0)
        config = LlamaConfig(**{**SHAPE, "vocab_size": base.size, "eos_token_id": base.pieces["<|end|>"]})
        if weights:
            LlamaForCausalLM(config).save_pretrained(folder)
        else:
            config.architectures = ["LlamaForCausalLM"]
            config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        content = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(content | changes), "utf-8")
        return folder

    return make
