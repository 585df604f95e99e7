"""LoRA's targets: all that was asked for, in every layer, or an error that names what there is."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from crosstune.errors import BadInputError
from crosstune.models.experts import num_expert_weights
from crosstune.train.methods import trainable
from crosstune.train.methods.lora_targets import chosen_targets
from tests.train.conftest import make_phase

DEFAULT = ("q_proj", "k_proj", "v_proj", "o_proj")
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 120,
    "pad_token_id": 0,
}


def model(kind: str, **settings: Any) -> PreTrainedModel:
    with torch.device("meta"):
        made: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**{**SIZES, **settings}))  # type: ignore[no-untyped-call]
    return made


def test_targets_in_every_layer_are_taken() -> None:
    assert chosen_targets(model("llama"), DEFAULT) == list(DEFAULT)


@pytest.mark.parametrize("targets", ["all-linear", ("all-linear",)])
def test_all_linear_layers_may_be_asked_for(targets: Any) -> None:
    assert chosen_targets(model("phi3"), targets) == "all-linear"


def test_a_fused_projection_is_not_trained_by_a_part_of_what_was_asked() -> None:
    with pytest.raises(BadInputError, match=r"q_proj in 0 of 2 layers; .*are .*qkv_proj \(2\).*`targets: all-linear`"):
        chosen_targets(model("phi3"), DEFAULT)


def test_a_hybrid_names_how_many_layers_have_the_target_and_takes_it_with_its_part() -> None:
    hybrid = model("qwen3_next", layer_types=["linear_attention", "full_attention"], num_experts=0, head_dim=8)
    with pytest.raises(BadInputError, match=r"q_proj in 1 of 2 layers"):
        chosen_targets(hybrid, ("q_proj",))
    assert chosen_targets(hybrid, ("self_attn.q_proj",)) == ["self_attn.q_proj"]


def test_experts_that_adapters_leave_out_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    moe = model("qwen3_moe", num_experts=4, moe_intermediate_size=16, head_dim=8)
    experts = 2 * 4 * 3 * 16 * 32
    assert num_expert_weights(moe) == experts
    chosen_targets(moe, DEFAULT)
    assert f"experts as they are: {experts:,} of" in " ".join(capsys.readouterr().err.split())


def test_experts_whose_inputs_cannot_be_dropped_are_told_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("lora.ParamWrapper does not work with lora_dropout != 0.")

    monkeypatch.setattr(trainable, "get_peft_model", refuse)
    phase = make_phase(method="lora", lora={"targets": "all-linear"})
    with pytest.raises(BadInputError, match=r"LoRA targets all-linear do not fit.*q_proj.*Set lora\.dropout: 0$"):
        trainable.make_trainable(model("llama"), phase, None, seed=0)
