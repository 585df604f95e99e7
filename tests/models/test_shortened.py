"""The self-test reads the first pieces of a model alone, finds what it found before, and leaves the model as it was."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, PhiConfig

from crosstune.models import packing, shortened
from crosstune.models.paths import path_of
from crosstune.models.plain import as_plain
from tests.models.test_packing import SHAPE, make_model
from tests.models.test_paths import LLAMA, forgets_where_rows_end

FEW = 40
CONFIGS = {
    "tied": LlamaConfig(**SHAPE, num_key_value_heads=2, tie_word_embeddings=True, pad_token_id=96),
    "untied": LlamaConfig(**SHAPE, num_key_value_heads=2, tie_word_embeddings=False, pad_token_id=3),
    "head with bias": PhiConfig(**SHAPE),
}


@pytest.fixture(autouse=True)
def a_model_has_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortened, "NUM_PIECES", FEW)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_first_pieces_are_read_alone_and_every_weight_is_put_back(name: str) -> None:
    model = make_model(CONFIGS[name])
    weights, padding = dict(model.named_parameters()), model.model.embed_tokens.padding_idx
    sizes: set[int] = set()
    model.lm_head.register_forward_hook(lambda _, __, logits: sizes.add(logits.shape[-1]))
    assert path_of(model, "training").way == "packed"
    assert sizes == {FEW}
    assert dict(model.named_parameters()).keys() == weights.keys()
    assert all(weight is weights[key] and weight.grad is None for key, weight in model.named_parameters())
    assert model.model.embed_tokens.padding_idx == padding
    with as_plain(model):
        assert model(input_ids=torch.tensor([[5, 96]])).logits.shape[-1] == 97


@pytest.mark.parametrize("use", ["training", "scoring"])
def test_a_leak_between_rows_is_found_with_few_pieces(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path_of(make_model(LLAMA), use).way == "packed"
    monkeypatch.setitem(packing.AttentionInterface._global_mapping, packing.ATTENTION, forgets_where_rows_end)
    assert path_of(make_model(LLAMA), use).way != "packed"


def test_a_table_inside_adapters_is_read_whole() -> None:
    adapted = get_peft_model(make_model(LLAMA), LoraConfig(target_modules=["q_proj", "embed_tokens"]))
    sizes: set[int] = set()
    adapted.base_model.model.lm_head.register_forward_hook(lambda _, __, logits: sizes.add(logits.shape[-1]))
    assert path_of(adapted, "training").way == "packed"
    assert sizes == {97}
