"""Experts in a plan: those that a token is sent to cost time, and adapters leave all as they are."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM as Auto
from transformers import GptOssConfig, GraniteMoeConfig, JetMoeConfig, Qwen3MoeConfig

from crosstune.models.experts import num_expert_weights
from crosstune.plan.case import Case
from crosstune.recipe import Lora, Phase, Train
from crosstune.train.cost import flops
from tests.plan.test_plan import SHAPE, TOKENS

MIXTURES = [
    Qwen3MoeConfig(**SHAPE, moe_intermediate_size=48, num_experts=8, num_experts_per_tok=2),
    GraniteMoeConfig(**SHAPE, num_local_experts=8, num_experts_per_tok=2),
    JetMoeConfig(vocab_size=500, hidden_size=64, num_hidden_layers=2, intermediate_size=48, num_local_experts=8),
    GptOssConfig(**SHAPE, num_local_experts=8, num_experts_per_tok=2),
]


@pytest.mark.parametrize("config", MIXTURES, ids=lambda config: config.model_type)
def test_of_experts_only_those_count_that_a_token_is_sent_to(config: Any) -> None:
    full = Phase(mixture="m", method="full", num_epochs=1, global_batch_size=1, learning_rate=1e-3)
    with torch.device("meta"):
        model = Auto.from_config(config)
        everyone = Auto.from_config(type(config)(**{**config.to_dict(), "num_experts_per_tok": 8}))
    experts = num_expert_weights(model)
    assert experts >= 2 * 8 * 3 * 48 * 64
    saved = flops(everyone, TOKENS, full) - flops(model, TOKENS, full)
    assert saved == pytest.approx(6 * 0.75 * experts * TOKENS.computed)


def test_a_plan_says_which_experts_adapters_leave(capsys: pytest.CaptureFixture[str]) -> None:
    phase = Phase(mixture="m", num_epochs=1, global_batch_size=1, learning_rate=1e-3, method="lora", lora=Lora(rank=2))
    case = Case(MIXTURES[0], None, phase, Train(), TOKENS, 1)
    counted = case.num_weights()
    assert counted["num_expert_weights"] == 3 * 8 * 3 * 48 * 64 and counted["num_trained_experts"] == 0
    assert "adapters leave the experts as they are" in capsys.readouterr().err
