"""Skipping the last layer's unread positions changes nothing that is read."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, MistralConfig, Qwen3Config

from crosstune.models import packing
from crosstune.models.kernels.skip_unused_positions import last_layer, skip_unread_positions, unread_modules
from crosstune.models.paths import path_of
from crosstune.models.recompute import recompute_layers
from tests.models.test_packing import CONFIGS, SHAPE, random_rows

FAMILY = {
    "llama": CONFIGS["llama"],
    "qwen2": CONFIGS["qwen2"],
    "mistral": MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=None),
    "qwen3": Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8),
}


def make_model(config: Any) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config))
    model.set_attn_implementation(packing.ATTENTION)
    return model.train()


def results(model: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits of the last four tokens of each row, and the gradients of a function of them."""
    layout = packing.lay_out(random_rows(3), share_prefixes=True)
    # The shared prefix is a row of its own as well, so some positions are read more than once.
    positions = torch.cat([torch.from_numpy(places[-4:]) for places in layout.token_positions])
    model.zero_grad()
    logits = packing.logits_at(model, layout, positions)
    logits.logsumexp(-1).mean().backward()
    return logits.detach(), {name: part.grad for name, part in model.named_parameters() if part.grad is not None}


FastPath = Callable[[nn.Module], AbstractContextManager[None]]


def assert_equal_within(fast_path: FastPath, model: nn.Module) -> None:
    expected, expected_gradients = results(model)
    with fast_path(model):
        found, gradients = results(model)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert_equal_gradients(gradients, expected_gradients)


def assert_equal_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize("name", FAMILY)
def test_logits_and_gradients_equal_the_plain_path(name: str) -> None:
    assert_equal_within(skip_unread_positions, make_model(FAMILY[name]))


def test_a_context_within_a_context_of_the_same_model_changes_nothing() -> None:
    model = make_model(FAMILY["llama"])
    with skip_unread_positions(model):
        assert_equal_within(skip_unread_positions, model)
        found, _ = results(model)
    expected, _ = results(model)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_a_copy_made_within_skips_once() -> None:
    model = make_model(FAMILY["llama"])
    with skip_unread_positions(model):
        copied = copy.deepcopy(model)
        assert_equal_within(skip_unread_positions, copied)


def test_a_small_model_that_is_trained_is_scored_packed() -> None:
    model = make_model(FAMILY["llama"])
    with skip_unread_positions(model):
        assert [path_of(model, use).way for use in ("scoring", "generation")] == ["packed", "packed"]


def test_layers_that_are_computed_again_for_the_backward_pass_skip_the_same() -> None:
    model = make_model(FAMILY["llama"])
    recompute_layers(model)
    assert_equal_within(skip_unread_positions, model)


def test_adapters_skip_with_the_modules_they_adapt() -> None:
    config = LoraConfig(target_modules=["q_proj", "o_proj", "up_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    assert_equal_within(skip_unread_positions, get_peft_model(make_model(FAMILY["llama"]), config))


def test_the_feed_forward_network_sees_the_positions_that_are_read_only() -> None:
    model = make_model(FAMILY["llama"])
    layout = packing.lay_out([[5, 6, 7, 8, 9], [10, 11, 12]], share_prefixes=False)
    seen = []
    model.model.layers[-1].mlp.up_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    positions = torch.tensor([7, 3, 7])
    packing.logits_at(model, layout, positions)
    with skip_unread_positions(model):
        packing.logits_at(model, layout, positions)
    packing.logits_at(model, layout, positions)
    assert [states.shape[-2] for states in seen] == [8, 2, 8]
    torch.testing.assert_close(seen[1], seen[0][0, [3, 7]])


def test_calls_that_do_not_say_what_they_read_compute_everything() -> None:
    model = make_model(FAMILY["llama"])
    layout = packing.lay_out([[5, 6, 7, 8, 9]], share_prefixes=False)
    inputs = {"input_ids": layout.input_ids, "position_ids": layout.position_ids, "packed_layout": layout}
    plain = model(**inputs).logits
    with skip_unread_positions(model):
        packing.logits_at(model, layout, torch.tensor([2]))
        torch.testing.assert_close(model(**inputs).logits, plain)


def test_another_architecture_stays_as_it_is() -> None:
    model = make_model(CONFIGS["gpt_neox"])
    assert last_layer(model) is None
    assert_equal_within(skip_unread_positions, model)


def test_queries_output_projection_and_feed_forward_are_needed_where_logits_are_read() -> None:
    layer = make_model(FAMILY["llama"]).model.layers[-1]
    assert unread_modules(layer) == [layer.self_attn.q_proj, layer.self_attn.o_proj, layer.mlp]
