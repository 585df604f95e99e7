"""Sparse attention chooses a few of the tokens before each: which ones may change with what stands beside a row."""

import math
from typing import Any

import pytest
from transformers import LlamaConfig

from crosstune.models.paths import path_of
from tests.models.architectures import build
from tests.models.test_packing import SHAPE, make_model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["doge", "deepseek_v32", "deepseek_v4", "minimax_m3_vl_text"])
def test_a_model_that_chooses_tokens_is_read_row_by_row_whatever_its_rows_show(name: str) -> None:
    path = path_of(build(name), "training")
    assert path.way == "one by one"
    assert all(math.isinf(found.nats) for _, found in path.tried)


@pytest.mark.parametrize("use", ["training", "scoring", "generation"])
def test_the_setting_that_says_so_is_named(use: Any) -> None:
    model = make_model(LlamaConfig(**SHAPE, num_key_value_heads=2))
    model.model.layers[1].self_attn.index_topk = 2048
    path = path_of(model, use)
    assert path.way == "one by one"
    assert "LlamaAttention chooses the tokens that it attends to (index_topk 2048)" in path.tried[0][1].error
