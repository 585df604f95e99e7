"""LoRA's targets: all that was asked for, in every layer, or an error that names what there is."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from crosstune.errors import BadInputError
from crosstune.models.experts import num_expert_weights
from crosstune.train.methods import trainable
from crosstune.train.methods.kept_adapter import refuse_another_place
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


def ends(names: list[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}


def test_targets_in_every_layer_are_taken() -> None:
    found = chosen_targets(model("llama"), DEFAULT)
    assert len(found) == 8
    assert ends(found) == set(DEFAULT)


@pytest.mark.parametrize("targets", ["all-linear", ("all-linear",)])
def test_all_linear_layers_may_be_asked_for(targets: Any) -> None:
    found = chosen_targets(model("phi3"), targets)
    assert len(found) == 8
    assert ends(found) == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}


def test_a_fused_projection_is_not_trained_by_a_part_of_what_was_asked() -> None:
    with pytest.raises(BadInputError, match=r"q_proj in 0 of 2 layers; .*are .*qkv_proj \(2\).*`targets: all-linear`"):
        chosen_targets(model("phi3"), DEFAULT)


def test_a_hybrid_names_how_many_layers_have_the_target_and_takes_it_with_its_part() -> None:
    hybrid = model("qwen3_next", layer_types=["linear_attention", "full_attention"], num_experts=0, head_dim=8)
    with pytest.raises(BadInputError, match=r"q_proj in 1 of 2 layers"):
        chosen_targets(hybrid, ("q_proj",))
    assert chosen_targets(hybrid, ("self_attn.q_proj",)) == ["model.layers.1.self_attn.q_proj"]


def test_experts_that_adapters_leave_out_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    moe = model("qwen3_moe", num_experts=4, moe_intermediate_size=16, head_dim=8)
    experts = 2 * 4 * 3 * 16 * 32
    assert num_expert_weights(moe) == experts
    chosen_targets(moe, DEFAULT)
    assert f"experts as they are: {experts:,} of" in " ".join(capsys.readouterr().err.split())


DEEPSEEK = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1},
    **{"moe_intermediate_size": 16, "first_k_dense_replace": 1, "num_key_value_heads": 4, "head_dim": 8},
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
}
LLAMA_4 = {"num_local_experts": 2, "interleave_moe_layer_step": 1, "head_dim": 8, "intermediate_size_mlp": 32}


def with_adapters(kind: str, targets: Any, **settings: Any) -> tuple[set[str], Any]:
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**{**SIZES, **settings})
    made = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    phase = make_phase(method="lora", lora={"targets": targets, "dropout": 0.05})
    adapted: Any = trainable.make_trainable(made, phase, None, seed=0).model
    names = {name.partition(".lora_")[0] for name, _ in adapted.named_parameters() if ".lora_" in name}
    return {name.removeprefix("base_model.model.") for name in names}, adapted


@pytest.mark.parametrize("targets", ["all-linear", ("gate_proj", "up_proj", "down_proj")])
def test_feed_forward_layers_beside_experts_are_adapted_and_experts_are_not(targets: Any) -> None:
    """peft takes `gate_proj` for a part of the experts, and leaves the layers out that are called so."""
    names, adapted = with_adapters("deepseek_v3", targets, **DEEPSEEK)
    assert {"model.layers.0.mlp.gate_proj", "model.layers.1.mlp.shared_experts.down_proj"} <= names
    assert not [name for name in names if ".mlp.experts" in name]
    assert num_expert_weights(adapted.base_model.model, only_trained=True) == 0


def test_a_router_that_returns_more_than_a_product_is_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    names, _ = with_adapters("llama4_text", "all-linear", **LLAMA_4)
    assert "model.layers.0.feed_forward.shared_expert.up_proj" in names
    assert not [name for name in names if name.endswith(".router")]
    said = " ".join(capsys.readouterr().err.split())
    assert "2 linear layers as they are: feed_forward.router (Llama4Router computes otherwise" in said


def test_a_router_that_is_asked_for_alone_is_an_error() -> None:
    with pytest.raises(BadInputError, match=r"no linear layer of Llama4ForCausalLM .*router .*method: full"):
        chosen_targets(model("llama4_text", **LLAMA_4), ("feed_forward.router",))


def test_layers_whose_weights_a_state_space_kernel_reads_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(chosen_targets(model("mamba"), "all-linear")) == {"in_proj"}
    said = " ".join(capsys.readouterr().err.split())
    assert "mixer.out_proj, mixer.x_proj (MambaMixer reads their weights without calling them)" in said


def test_a_linear_layer_that_is_written_otherwise_and_computes_the_same_is_adapted() -> None:
    assert len(with_adapters("falcon", "all-linear")[0]) == 8


def test_layers_that_share_their_weights_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Merged, the adapters of one would change the others."""
    made = model("llama")
    made.model.layers[0].mlp.up_proj.weight = made.model.layers[1].mlp.up_proj.weight
    assert "up_proj" not in ends(chosen_targets(made, "all-linear"))
    assert "mlp.up_proj (several layers share their weights)" in " ".join(capsys.readouterr().err.split())


def test_layers_that_the_model_does_not_call_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    made = model("llama")
    called = {name for name, _ in made.named_modules() if not name.endswith("1.self_attn.k_proj")}
    found = chosen_targets(made, DEFAULT, called)
    assert "model.layers.1.self_attn.k_proj" not in found
    assert len(found) == 7
    assert "self_attn.k_proj (the model does not call them)" in " ".join(capsys.readouterr().err.split())


def test_adapters_that_peft_would_load_into_the_experts_are_not_kept_apart() -> None:
    _, adapted = with_adapters("deepseek_v3", "all-linear", **DEEPSEEK)
    with pytest.raises(BadInputError, match=r"^here: peft takes some of .* for parts of its experts"):
        refuse_another_place(adapted, "here")
    refuse_another_place(with_adapters("deepseek_v3", ("o_proj",), **DEEPSEEK)[1], "here")
