"""Sparse attention chooses a few of the tokens before each: what it chooses may change with padding behind them."""

import pytest

from crosstune.models.paths import path_of
from crosstune.models.self_test import short_windows
from tests.models.architectures import build


@pytest.mark.slow
@pytest.mark.parametrize("name", ["doge", "dots3_note_text", "deepseek_v32"])
def test_where_padding_changes_what_sparse_attention_chooses_rows_are_read_one_by_one(name: str) -> None:
    model = build(name)
    assert path_of(model, "training").way == "one by one"


def test_limits_of_attention_are_short_while_a_model_is_tested_and_as_before_afterwards() -> None:
    model = build("deepseek_v32")
    model.config.index_topk = 2048
    for part in model.modules():
        if "index_topk" in vars(part):
            part.index_topk = 2048
    before = [vars(part).get("index_topk") for part in model.modules()]
    with short_windows(model):
        assert {vars(part).get("index_topk") for part in model.modules()} == {None, 6} and model.config.index_topk == 6
    assert [vars(part).get("index_topk") for part in model.modules()] == before and model.config.index_topk == 2048
