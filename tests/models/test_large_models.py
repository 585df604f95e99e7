"""What the self-test leaves out in a large model, so that it costs little, hides no fault."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, PreTrainedModel

from crosstune.models import gradients, packing, plain_rows
from crosstune.models.gradients import few_that_move
from crosstune.models.paths import path_of
from tests.models.test_packing import SHAPE, make_model

LLAMA = LlamaConfig(**SHAPE | {"num_hidden_layers": 5}, num_key_value_heads=2)


@pytest.fixture(autouse=True)
def every_model_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "MANY_WEIGHTS", 0)
    monkeypatch.setattr(plain_rows, "LARGE", 0)


def doubles_the_gradient_of_the_third_layers_values(
    module: Any, query: Any, key: Any, value: Any, *rest: Any, **options: Any
) -> Any:
    if module.layer_idx == 2:
        value = 2 * value - value.detach()
    return packing.packed_attention(module, query, key, value, *rest, **options)


def test_gradients_are_computed_outside_of_layers_and_in_the_first_and_last_one_of_a_kind() -> None:
    model = make_model(LLAMA)
    model.model.norm.requires_grad_(False)
    with few_that_move(model):
        moving = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.split(".")[2] for name in moving if ".layers." in name} == {"0", "4"}
    assert {name for name in moving if ".layers." not in name} == {"model.embed_tokens.weight", "lm_head.weight"}
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["model.norm.weight"]


def test_a_gradient_that_is_wrong_in_a_layer_of_which_none_is_looked_at_is_found_in_the_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        packing.AttentionInterface._global_mapping,
        packing.ATTENTION,
        doubles_the_gradient_of_the_third_layers_values,
    )
    path = path_of(make_model(LLAMA), "training")
    assert path.way != "packed"
    assert path.tried[0][1].gradient > 2e-3 > path.tried[0][1].nats


@pytest.mark.parametrize("use", ["training", "scoring", "generation"])
def test_rows_that_are_read_as_one_batch_are_a_reference_like_rows_alone(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[torch.Size] = []
    model = make_model(LLAMA)
    monkeypatch.setattr("crosstune.models.references.amplified", lambda _: None)
    model.register_forward_pre_hook(lambda _, __, given: passes.append(given["input_ids"].shape), with_kwargs=True)
    assert path_of(model, use).way == "packed"
    assert passes[0] == (3, 16) and passes.count(passes[0]) == 1


def sees_the_row_before(model: PreTrainedModel) -> PreTrainedModel:
    """Let each row of a batch see what the row before it holds."""
    model.model.norm.register_forward_hook(lambda _, __, states: states + states.roll(1, 0))
    return model


def test_a_model_that_mixes_the_rows_of_a_batch_is_not_read_packed_unseen() -> None:
    with pytest.raises(ValueError, match="its tokens see those that follow"):
        path_of(sees_the_row_before(make_model(LLAMA)), "scoring")
