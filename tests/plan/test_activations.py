"""Activations are counted on a few layers; the count is that of all of them."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM as Auto
from transformers import Gemma3TextConfig, LlamaConfig, MambaConfig, MixtralConfig, Qwen3MoeConfig

from crosstune.models.layers import layers_of
from crosstune.plan import activations
from crosstune.plan.activations import COUNTED_ATTENTION, saved_bytes
from crosstune.plan.case import Case
from crosstune.plan.known_models import phase_on_text, tokens_of_text
from crosstune.plan.memory import fake_model
from crosstune.recipe import Train

SHAPE: dict[str, Any] = {
    **{"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "head_dim": 8, "num_hidden_layers": 8, "pad_token_id": 0},
}
CONFIGS = [
    LlamaConfig(**SHAPE),
    # Five layers of a kind, one of another, and again.
    Gemma3TextConfig(**SHAPE),
    MixtralConfig(**SHAPE, num_local_experts=12),
    # The first two layers have no experts.
    Qwen3MoeConfig(**SHAPE, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, mlp_only_layers=[0, 1]),
]
MAMBA = MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4)
LORA = {"method": "lora", "lora": {"targets": "all-linear", "rank": 4, "alpha": 8}}


def count(config: Any, precision: str, num_tokens: int = 64) -> int:
    fake, mode = fake_model(lambda: Auto.from_config(config))
    fake.set_attn_implementation(COUNTED_ATTENTION)
    with mode:
        return saved_bytes(fake.train(), num_tokens, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_what_few_layers_save_is_counted_for_the_others_of_their_kind(
    monkeypatch: pytest.MonkeyPatch, config: Any, precision: str
) -> None:
    by_kinds = count(config, precision)
    monkeypatch.setattr(activations, "kinds_of_layers", lambda model: list(range(8)))
    assert by_kinds == count(config, precision)


@pytest.mark.slow
def test_adapters_are_counted_by_kinds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def activations_of_lora() -> float:
        settings = Train(precision="bf16", gradient_checkpointing=True)
        return (
            Case(CONFIGS[0], None, phase_on_text(**LORA), settings, tokens_of_text(10**6, 512, 1), 1)
            .memory()
            .activations
        )

    by_kinds = activations_of_lora()
    monkeypatch.setattr(activations, "kinds_of_layers", lambda model: list(range(8)))
    assert by_kinds == activations_of_lora()


@pytest.mark.slow
def test_a_model_of_eighty_layers_takes_as_many_passes_as_one_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    count_all = activations.saved_by_all
    monkeypatch.setattr(
        activations,
        "saved_by_all",
        lambda model, *rest: passes.append(len(layers_of(model))) or count_all(model, *rest),
    )
    count(LlamaConfig(**SHAPE | {"num_hidden_layers": 80}), "float32")
    assert passes == [1, 2, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2], MAMBA], ids=lambda config: config.model_type)
def test_many_tokens_save_what_few_do_in_proportion(monkeypatch: pytest.MonkeyPatch, config: Any) -> None:
    counted = count(config, "float32", 96)
    monkeypatch.setattr(activations, "MOST_CALLS", 0)
    assert counted == count(config, "float32", 96)


@pytest.mark.slow
@pytest.mark.parametrize(("config", "sizes"), [(CONFIGS[2], {1, 4096}), (MAMBA, {1, 32, 64, 4096})])
def test_a_model_that_goes_from_token_to_token_is_counted_on_few(
    monkeypatch: pytest.MonkeyPatch, config: Any, sizes: set[int]
) -> None:
    passes: set[int] = set()
    count_all = activations.saved_by_all
    monkeypatch.setattr(
        activations, "saved_by_all", lambda model, size, *rest: passes.add(size) or count_all(model, size, *rest)
    )
    assert count(config, "bf16", 4096) > 0
    assert passes == sizes


class _Copies(TorchDispatchMode):
    """Remembers which copies of weights autocast makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[StorageWeakRef] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and found.dtype == torch.bfloat16 and found.shape == (16, 16):
            self.made.append(StorageWeakRef(found.untyped_storage()))
        return found

    @property
    def num_alive(self) -> int:
        return sum(not copy.expired() for copy in self.made)


@pytest.mark.parametrize(
    ("moves", "recomputes", "num_inside", "num_afterwards"),
    [(True, False, 4, 4), (True, True, 4, 0), (False, False, 4, 4), (False, True, 0, 0)],
)
def test_autocast_keeps_the_copies_of_weights_that_the_plan_counts(
    moves: bool, recomputes: bool, num_inside: int, num_afterwards: int
) -> None:
    layers = [nn.Linear(16, 16, bias=False).requires_grad_(moves) for _ in range(4)]
    states = torch.randn(2, 16, requires_grad=True)
    with _Copies() as copies:
        with torch.autocast("cpu", torch.bfloat16):
            for layer in layers:
                states = checkpoint(layer, states, use_reentrant=False) if recomputes else layer(states)
            assert copies.num_alive == num_inside
        assert copies.num_alive == num_afterwards
