"""Packed weights: products are those of the unpacked weight, new rows stay exact, and no checkpoint holds them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PhiConfig

from crosstune.models.frozen import FrozenLinear, Kind, dtype_of_states, frozen_kinds
from crosstune.models.kernels.inplace_gradients import gradients_in_place
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.pack_weights import pack, pack_frozen_weights
from crosstune.models.self_test import amplified
from crosstune.train.methods.trainable import make_trainable
from tests.train.conftest import make_phase
from tests.train.methods.test_trainable import SHAPE, make_model

KINDS: list[Kind] = ["bf16", "nf4", "int8"]
IDS = torch.tensor([[1, 3, 52, 53, 5, 49, 50]])


def with_adapters(tied: bool) -> Any:
    phase = make_phase(method="lora", lora={"rank": 2, "train_new_rows": True, "targets": "all-linear"})
    trained = make_trainable(make_model(tied, 54), phase, 50, 1).model.eval()
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    return trained


def rounded(trained: nn.Module, kind: Kind) -> tuple[Any, Any]:
    """Return a packed copy of a model, and one whose frozen weights are in float32 what the packed ones stand for."""
    packed, plain = copy.deepcopy(trained), copy.deepcopy(trained)
    pack_frozen_weights(packed, kind)
    for found, part in zip(packed.modules(), plain.modules(), strict=True):
        with torch.no_grad():
            if isinstance(found, FrozenLinear):
                part.weight.copy_(found.unpacked(torch.float32))  # type: ignore[union-attr,operator]
            elif isinstance(found, nn.Embedding):
                part.weight.copy_(found.weight)  # type: ignore[union-attr,operator]
    return packed, plain


def logits_and_gradients(model: Any) -> dict[str, Tensor]:
    logits = model(input_ids=IDS).logits
    logits.square().sum().backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients.values())
    return {"logits": logits.detach(), **gradients}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_packed_model_computes_what_its_unpacked_weights_do_and_new_rows_stay_in_float32(
    kind: Kind, tied: bool
) -> None:
    packed, plain = rounded(with_adapters(tied), kind)
    found, expected = logits_and_gradients(packed), logits_and_gradients(plain)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Both round as float32 does to a sum of its size; which sums a core makes is its own business.
        largest = max(1.0, value.abs().max().item())
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-5 * largest)


@pytest.mark.parametrize("kind", ["bf16", "nf4"])
def test_a_bias_of_the_head_is_added_once_to_old_rows_and_new(kind: Kind) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(PhiConfig(**SHAPE, vocab_size=54))
    with torch.no_grad():
        model.lm_head.bias.normal_()
    settings = make_phase(method="lora", lora={"rank": 2, "train_new_rows": True, "targets": "all-linear"})
    packed, plain = rounded(make_trainable(model, settings, 50, 1).model.eval(), kind)
    torch.testing.assert_close(packed(input_ids=IDS).logits, plain(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "largest"), [("bf16", 2**-8), ("int8", 1 / 200), ("nf4", 0.18)])
def test_weights_come_back_within_the_stated_rounding_of_the_largest_of_their_block(kind: Kind, largest: float) -> None:
    layer: Any = nn.Linear(64, 96)
    before = layer.weight.detach().clone()
    pack(layer, kind)
    errors = (layer.unpacked(torch.float32) - before).abs().amax(dim=1)
    assert bool((errors <= largest * before.abs().amax(dim=1)).all())
    assert torch.equal(copy.deepcopy(layer).unpacked(torch.float32), layer.unpacked(torch.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_takes_few_bytes_and_is_in_no_checkpoint(kind: Kind) -> None:
    trained = with_adapters(tied=False)
    moves = {name for name, weight in trained.named_parameters() if weight.requires_grad}
    norms = {name for name in trained.state_dict() if "norm" in name}
    num_weights, num_bytes = pack_frozen_weights(trained, kind)
    inside, tables = 4 * 16 * 16 + 3 * 16 * 32, 2 * 54 * 16
    assert num_weights == inside + tables
    most_bits = {"bf16": 16, "nf4": 5, "int8": 10}[kind]
    assert num_bytes - 2 * tables <= inside * most_bits / 8
    assert set(trained.state_dict()) == moves | norms
    before = logits_and_gradients(trained)["logits"]
    trained.load_state_dict(trained.state_dict())  # Nothing is missing.
    assert torch.equal(trained(input_ids=IDS).logits, before)
    assert dtype_of_states(trained.get_base_model()) == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_products_follow_autocast(kind: Kind) -> None:
    layer: Any = nn.Linear(64, 32)
    pack(layer, kind)
    states = torch.randn(3, 64, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(states)
    output.sum().backward()
    assert output.dtype == torch.bfloat16 and states.grad is not None and states.grad.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_self_test_amplifies_packed_weights_too(kind: Kind) -> None:
    trained = with_adapters(tied=True)
    pack_frozen_weights(trained, kind)
    (found,) = (
        part.unpacked(torch.float32).std() / before.unpacked(torch.float32).std()
        for (name, part), before in zip(amplified(trained).named_modules(), trained.modules(), strict=True)  # type: ignore[union-attr]
        if name.endswith("gate_proj.base_layer")
    )
    assert float(found) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_that_reach_into_weights_leave_packed_layers_alone_and_the_others_are_asked_anew(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crosstune.models.kernels import selftest

    trained = with_adapters(tied=False)
    differences: dict[Any, float] = {}
    monkeypatch.setattr(selftest, "known_differences", differences)
    with lean_layers(trained):
        pass
    asked = len(differences)
    pack_frozen_weights(trained, kind)
    plain = trained(input_ids=IDS).logits
    with lean_layers(trained), gradients_in_place(trained):
        assert not any(isinstance(part, FrozenLinear) and "forward" in vars(part) for part in trained.modules())
        torch.testing.assert_close(trained(input_ids=IDS).logits, plain, rtol=1e-4, atol=1e-5)
    anew = [key for key in differences if frozenset([kind]) in key]
    assert asked and len(anew) == 2 and max(differences.values()) <= 1  # attention and feed-forward network
    assert frozen_kinds(trained) == {kind, "bf16"}
