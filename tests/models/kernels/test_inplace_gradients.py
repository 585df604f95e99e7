"""Gradients that are added in place are those that autograd adds up."""

import copy
from types import MethodType

import pytest
import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from torch import nn
from transformers import AutoModelForCausalLM

from crosstune.models import packing
from crosstune.models.kernels.inplace_gradients import gradients_in_place, keep_type_of_outputs
from crosstune.models.paths import path_of
from crosstune.models.recompute import recompute_layers
from crosstune.train.loss import summed_loss
from crosstune.train.rows import Segment
from tests.models.kernels.test_skip_unused_positions import FAMILY, assert_equal_gradients, make_model
from tests.models.test_packing import CONFIGS

MICRO_BATCHES = [
    [Segment((5, 6, 7, 8, 9), 2, 1, "ko", "a"), Segment((5, 6, 7, 10), 2, 1, "ko", "a")],
    [Segment((11, 6, 12, 2), 1, 1, "en", "b")],
]


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    for segments in MICRO_BATCHES:
        summed_loss(model, segments, torch.device("cpu"), 0.2).total.backward()
    found = {name: part.grad for name, part in model.named_parameters() if part.grad is not None}
    model.zero_grad()
    return found


def assert_equal_in_place(model: nn.Module) -> None:
    expected = gradients(model)
    with gradients_in_place(model):
        found = gradients(model)
    assert_equal_gradients(found, expected)


@pytest.mark.parametrize("name", FAMILY)
def test_sums_over_micro_batches_equal_autograds(name: str) -> None:
    assert_equal_in_place(make_model(FAMILY[name]))


@pytest.mark.parametrize("tied", [True, False])
def test_another_architecture_and_tied_matrices_add_up_alike(tied: bool) -> None:
    config = copy.deepcopy(CONFIGS["gpt_neox"])
    config.tie_word_embeddings = tied
    config.pad_token_id = 6
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.set_attn_implementation(packing.ATTENTION)
    assert_equal_in_place(model.train())


def test_frozen_weights_get_no_gradient_and_hooks_see_theirs() -> None:
    model = make_model(FAMILY["llama"])
    model.model.layers[0].requires_grad_(False)
    path_of(model, "training")  # Its test goes through the hooks, too.
    seen = []
    model.lm_head.weight.register_hook(lambda gradient: seen.append(gradient.shape))
    assert_equal_in_place(model)
    assert len(seen) == 2 * len(MICRO_BATCHES)


def test_layers_that_are_computed_again_add_their_gradients_once() -> None:
    model = make_model(FAMILY["llama"])
    recompute_layers(model)
    assert_equal_in_place(model)


def test_autograd_adds_up_no_copy_of_an_embedding() -> None:
    model = make_model(FAMILY["llama"])
    made: list[torch.Tensor] = []
    weight = model.model.embed_tokens.weight
    with gradients_in_place(model):
        for segments in MICRO_BATCHES:
            summed_loss(model, segments, torch.device("cpu"), 0.2).total.backward()
            made.append(weight.grad)
    assert made[0] is made[1]


def test_products_in_bf16_are_left_to_autograd() -> None:
    model = make_model(FAMILY["llama"])
    with torch.autocast("cpu", torch.bfloat16):
        assert_equal_in_place(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_in_bfloat16_embeddings_add_in_place_and_products_stay_autograds(name: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert_equal_in_place(make_model(FAMILY[name]))


@pytest.mark.slow
def test_logits_stay_in_bfloat16_with_the_loss_and_the_gradients_of_widened_ones() -> None:
    model = make_model(FAMILY["llama"])
    own = model.forward
    # What accelerate does to a model that it prepares for bfloat16.
    computed = torch.autocast("cpu", torch.bfloat16)(own.__func__)
    model.forward = MethodType(convert_outputs_to_fp32(MethodType(computed, model).__func__), model)
    widened = summed_loss(model, MICRO_BATCHES[0], torch.device("cpu"), 0.2).per_segment
    expected = gradients(model)

    keep_type_of_outputs(model)
    assert model(torch.tensor([[5, 6]])).logits.dtype == torch.bfloat16
    torch.testing.assert_close(
        summed_loss(model, MICRO_BATCHES[0], torch.device("cpu"), 0.2).per_segment, widened, rtol=0, atol=0
    )
    found = gradients(model)
    assert found.keys() == expected.keys()
    for weight, gradient in found.items():
        torch.testing.assert_close(gradient, expected[weight], rtol=0, atol=0)
    keep_type_of_outputs(model)
    assert model(torch.tensor([[5, 6]])).logits.dtype == torch.bfloat16
