"""Lean layers compute what transformers' own compute, and save less for the backward pass."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import linear, silu

from crosstune.models import packing
from crosstune.models.kernels.low_memory_layers import Gate, Norm, Rotation, lean_layers, multiplied_again
from crosstune.models.recompute import recompute_layers
from tests.models.kernels.test_skip_unused_positions import FAMILY, assert_equal_within, make_model, results
from tests.models.test_packing import CONFIGS, random_rows


def saved_bytes(model: nn.Module) -> int:
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    layout = packing.lay_out(random_rows(3), share_prefixes=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        packing.logits_at(model, layout, torch.tensor([3]))
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def doubles(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_gradients_are_those_of_the_function() -> None:
    torch.manual_seed(0)
    angles = torch.randn(1, 5, 3, dtype=torch.float64).repeat(1, 1, 2)
    assert torch.autograd.gradcheck(Norm.apply, (doubles(2, 3, 5), doubles(5), 1e-6))
    assert torch.autograd.gradcheck(Gate.apply, (doubles(2, 3, 5), doubles(2, 3, 5)))
    assert torch.autograd.gradcheck(Rotation.apply, (doubles(1, 5, 2, 6), angles.cos(), angles.sin()))


@pytest.mark.parametrize("name", FAMILY)
def test_logits_and_gradients_equal_transformers_own(name: str) -> None:
    assert_equal_within(lean_layers, make_model(FAMILY[name]))


def test_less_is_saved_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    # What plain attention saves is the same in both.
    monkeypatch.setattr(packing, "MAX_PLAIN_ATTENTION", 0)
    model = make_model(FAMILY["llama"])
    plain = saved_bytes(model)
    with lean_layers(model):
        assert saved_bytes(model) < 0.8 * plain


def test_a_projection_of_the_gated_product_gets_it_again_and_keeps_none() -> None:
    gate, up, weight = doubles(2, 3, 5), doubles(2, 3, 5), doubles(4, 5)
    gated = Gate.apply(gate, up)
    kept = StorageWeakRef(gated.untyped_storage())
    with multiplied_again(gated):
        output = linear(gated, weight)
    del gated
    assert kept.expired()
    found = torch.autograd.grad(output.sum(), (gate, up, weight))
    expected = torch.autograd.grad(linear(silu(gate) * up, weight).sum(), (gate, up, weight))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_that_are_computed_again_for_the_backward_pass_are_lean_too() -> None:
    model = make_model(FAMILY["llama"])
    recompute_layers(model)
    assert_equal_within(lean_layers, model)


@pytest.mark.parametrize("name", FAMILY)
def test_adapters_and_frozen_weights_train_alike(name: str) -> None:
    config = LoraConfig(target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    assert_equal_within(lean_layers, get_peft_model(make_model(FAMILY[name]), config))


@pytest.mark.parametrize("name", FAMILY)
def test_products_in_bf16_round_alike(name: str) -> None:
    model = make_model(FAMILY[name])
    with torch.autocast("cpu", torch.bfloat16):
        expected, expected_gradients = results(model)
        with lean_layers(model):
            found, gradients = results(model)
    torch.testing.assert_close(found.float(), expected.float(), atol=2e-3, rtol=2e-2)
    for part, gradient in gradients.items():
        scale = expected_gradients[part].abs().max()
        assert (gradient - expected_gradients[part]).abs().max() <= 0.05 * scale, part


def test_another_attention_than_the_packed_one_computes_the_same() -> None:
    model: Any = make_model(FAMILY["qwen3"]).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        plain = model(input_ids=ids).logits
        with lean_layers(model):
            torch.testing.assert_close(model(input_ids=ids).logits, plain, atol=1e-6, rtol=1e-5)
            generated = model.generate(ids, max_new_tokens=3, do_sample=False, eos_token_id=None)
        assert torch.equal(generated, model.generate(ids, max_new_tokens=3, do_sample=False, eos_token_id=None))


def test_afterwards_and_within_another_context_of_the_same_model_nothing_changes() -> None:
    model = make_model(FAMILY["llama"])
    with lean_layers(model):
        lean = [part for part in model.modules() if "forward" in vars(part)]
        with lean_layers(model):
            pass
        assert [part for part in model.modules() if "forward" in vars(part)] == lean
    assert len(lean) == 1 + 4 * model.config.num_hidden_layers
    assert not any("forward" in vars(part) for part in model.modules())


def test_another_activation_and_another_architecture_stay_as_they_are() -> None:
    config = copy.deepcopy(FAMILY["llama"])
    config.hidden_act = "gelu"
    assert_equal_within(lean_layers, make_model(config))
    other = make_model(CONFIGS["gpt_neox"])
    with lean_layers(other):
        assert not any("forward" in vars(part) for part in other.modules())
