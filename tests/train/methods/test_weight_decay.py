"""Weight decay pulls on matrices alone: norms and biases would be pulled to nothing, and nothing is gained by it."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from crosstune.recipe import Train
from crosstune.train.methods.optimizer import make_optimizer
from tests.train.conftest import make_phase


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_weight_decay_shrinks_matrices_and_leaves_norms_and_biases(optimizer: str) -> None:
    if optimizer == "adamw_8bit":
        pytest.importorskip("torchao", reason="the extra eight_bit is not installed")
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24}
    config = LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=2, attention_bias=True)
    model = LlamaForCausalLM(config)
    for weight in model.parameters():
        torch.nn.init.constant_(weight, 2.0)
        weight.grad = torch.zeros_like(weight)
    phase = make_phase(learning_rate=0.1, weight_decay=0.5)
    make_optimizer(model, phase, Train(optimizer=optimizer)).step()
    spared = {name for name, _ in model.named_parameters() if "norm" in name or name.endswith("bias")}
    assert any("norm" in name for name in spared) and any(name.endswith("bias") for name in spared)
    for name, weight in model.named_parameters():
        # A step without a gradient is the decay alone: 1 - 0.1 * 0.5.
        assert torch.allclose(weight, torch.full_like(weight, 2.0 if name in spared else 1.9)), name


@pytest.mark.parametrize(
    ("kind", "sizes", "spared"),
    [
        (
            "gpt_oss",
            {"num_local_experts": 2, "num_key_value_heads": 1, "head_dim": 8},
            ["gate_up_proj_bias", "down_proj_bias"],
        ),
        ("mamba", {"state_size": 4}, ["A_log", "D"]),
        # It looks for a compiler of kernels for GPUs.
        pytest.param("rwkv", {"attention_hidden_size": 16}, ["time_mix_key", "time_decay"], marks=pytest.mark.whole),
    ],
)
def test_what_is_stored_as_a_matrix_and_is_none_is_left_too(
    kind: str, sizes: dict[str, int], spared: list[str]
) -> None:
    usual = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config = AutoConfig.for_model(kind, num_hidden_layers=2, **{**usual, **sizes})
    model = AutoModelForCausalLM.from_config(config)
    for weight in model.parameters():
        torch.nn.init.constant_(weight, 2.0)
        weight.grad = torch.zeros_like(weight)
    make_optimizer(model, make_phase(learning_rate=0.1, weight_decay=0.5), Train()).step()
    left = {name.rpartition(".")[2] for name, weight in model.named_parameters() if bool((weight == 2.0).all())}
    moved = {name for name, weight in model.named_parameters() if bool((weight != 2.0).all())}
    assert {*spared} <= left
    assert any("embed" in name for name in moved) and not any(name.endswith("bias") for name in moved)
