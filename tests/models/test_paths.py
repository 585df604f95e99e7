"""A model is read packed where that is exact, which it proves itself, and otherwise slower and exactly."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GptOssConfig,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
)

from crosstune.models import packing, plain_rows, references, self_test
from crosstune.models.attention.asked import AttentionRequest, asked_of
from crosstune.models.paths import path_of, paths_of, read_rows, way_of
from crosstune.models.plain import as_plain, plain_logits
from crosstune.models.self_test import amplify
from tests.models.test_packing import SHAPE, make_model

BLOOM = BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)
LLAMA = LlamaConfig(**SHAPE, num_key_value_heads=2)


def forgets_where_rows_end(module: Any, *states: Any, **options: Any) -> Any:
    """Packed attention that lets the second of two rows see the first."""
    options["packed_layout"] = packing.lay_out([options["packed_layout"].input_ids[0].tolist()], share_prefixes=False)
    return packing.packed_attention(module, *states, **options)


@pytest.mark.slow
def test_llama_is_read_packed_in_every_use_and_the_measured_difference_is_kept() -> None:
    model = make_model(LLAMA)
    for use in ("training", "scoring", "generation"):
        path = path_of(model, use)
        assert path.way == "packed"
        assert path.facts()["measured"][0]["nats"] < 1e-4
    assert {path.use for path in paths_of(model)} == {"training", "scoring", "generation"}


def test_a_model_that_does_not_take_attention_by_name_is_read_exactly_and_it_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = make_model(BLOOM)
    rows, read = [[5, 6, 7, 8, 9], [5, 6, 9]], [np.arange(2, 5), np.arange(1, 3)]
    for _ in range(2):
        found = read_rows(model, rows, read, {})
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("training goes by rows right-padded") == 1
    assert "nats" in said
    alone = torch.cat([model(input_ids=torch.tensor([row])).logits[0, of] for row, of in zip(rows, read, strict=True)])
    torch.testing.assert_close(found, alone)
    assert path_of(model, "generation").way == "one by one"


def test_a_leak_is_found_in_a_model_that_was_just_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(LLAMA)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.1 if weight.ndim > 1 else 1.0)  # Next to nothing is attended to.
    monkeypatch.setitem(packing.AttentionInterface._global_mapping, packing.ATTENTION, forgets_where_rows_end)
    assert path_of(model, "scoring").way != "packed"


def attends_sharply() -> PreTrainedModel:
    """Return a model whose logits move a hundred times as far with rounding as those of others."""
    model = make_model(LlamaConfig(**SHAPE | {"hidden_size": 64, "num_hidden_layers": 4}, num_key_value_heads=2))
    amplify(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(3.0 if "q_proj" in name or "k_proj" in name else 1.0)
    return model


@pytest.mark.slow
def test_a_model_that_rounding_moves_far_is_read_packed_and_a_leak_in_it_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert path_of(attends_sharply(), "training").way == "packed"
    monkeypatch.setitem(packing.AttentionInterface._global_mapping, packing.ATTENTION, forgets_where_rows_end)
    assert path_of(attends_sharply(), "training").way != "packed"


@pytest.mark.slow
@pytest.mark.parametrize("use", ["training", "scoring"])
def test_where_bfloat16_moves_a_large_model_as_far_as_a_leak_a_copy_in_float32_decides(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "amplified", lambda _: None)
    path = path_of(attends_sharply().bfloat16(), use)
    assert path.way == "packed"
    assert path.tried[0][1].in_copy.nats < 1e-4 < 1 < path.tried[0][1].nats
    assert path.facts()["measured"][0]["in_copy"]["rounding"] < 1e-2
    monkeypatch.setitem(packing.AttentionInterface._global_mapping, packing.ATTENTION, forgets_where_rows_end)
    assert path_of(attends_sharply().bfloat16(), use).way != "packed"


@pytest.mark.parametrize("use", ["training", "scoring", "generation"])
def test_an_option_that_is_not_known_is_refused_so_that_rows_are_read_exactly(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = make_model(LLAMA).model.layers[0].self_attn
    with pytest.raises(ValueError, match="asks its attention for position_bias"):
        asked_of(module, {"position_bias": torch.ones(1)})
    assert asked_of(module, {"position_bias": None}) == AttentionRequest()


@pytest.mark.parametrize("use", ["training", "generation"])
def test_a_mask_that_a_layer_makes_itself_is_not_dropped(use: Any) -> None:
    model = make_model(LLAMA)

    def hide(_: Any, given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        states = options["hidden_states"] if "hidden_states" in options else given[0]
        # It hides what follows, and nothing else yet.
        size = states.shape[1]
        mask = torch.full((size, size), float("-inf")).triu(1)
        return given, options | {"attention_mask": mask[None, None]}

    model.model.layers[1].self_attn.register_forward_pre_hook(hide, with_kwargs=True)
    path = path_of(model, use)
    assert path.way != "packed"
    assert "LlamaAttention hands its attention a mask of its own" in path.tried[0][1].error


@pytest.mark.slow
def test_windows_and_sinks_are_crossed_by_the_rows_of_the_test() -> None:
    windowed = make_model(MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=4096))
    assert path_of(windowed, "generation").way == "packed"
    assert windowed.config.sliding_window == windowed.model.layers[0].self_attn.config.sliding_window == 4096
    with_sinks = make_model(
        GptOssConfig(**SHAPE, num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=2)
    )
    assert path_of(with_sinks, "training").way == "packed"


def test_the_test_leaves_gradients_mode_and_random_numbers_as_they_were() -> None:
    model = make_model(LLAMA).train()
    kept = torch.ones(97, 32)
    model.lm_head.weight.grad = kept
    before = torch.get_rng_state()
    path_of(model, "training")
    assert model.training and model.lm_head.weight.grad is kept and model.model.norm.weight.grad is None
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_whose_length_changes_the_turning_of_positions_are_read_one_by_one() -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    config = LlamaConfig(
        **SHAPE,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rope_parameters={**rope, "original_max_position_embeddings": 16},
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    assert way_of(model, "scoring", 16) == path_of(model, "scoring").way
    assert way_of(model, "scoring", 17) == "one by one"


def test_a_row_is_read_as_alone_after_a_longer_one_that_changed_the_turning_of_positions() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    config = LlamaConfig(**SHAPE, num_key_value_heads=2, max_position_embeddings=16, rope_parameters=rope)
    model = make_model(copy.deepcopy(config))
    rows = [[5 + place % 80 for place in range(length)] for length in (60, 24, 16)]
    assert way_of(model, "scoring", 60) == "one by one"
    with torch.no_grad():
        found = plain_logits(model, rows, [np.array([len(row) - 1]) for row in rows], "one by one")
        alone = [make_model(copy.deepcopy(config))(input_ids=torch.tensor([row])).logits[0, -1] for row in rows]
    torch.testing.assert_close(found, torch.stack(alone))


@pytest.mark.parametrize("use", ["training", "generation"])
def test_attention_that_is_sharper_from_some_place_on_counts_places_of_each_row(use: Any) -> None:
    config = Llama4TextConfig(
        **SHAPE | {"head_dim": 8, "num_local_experts": 2, "intermediate_size_mlp": 48, "no_rope_layers": [1, 0]},
        num_key_value_heads=2,
        floor_scale=8192,
    )
    model = make_model(config)
    # It counts them in the packed row, and rows that lie behind the first 8,192 tokens of that are longer than a test.
    assert path_of(model, use).way != "packed"
    assert model.model.layers[1].self_attn.floor_scale == 8192


def test_rows_of_any_length_are_padded_to_the_same_logits() -> None:
    model = make_model(BLOOM)
    rows = [[5 + place % 80 for place in range(length)] for length in (9, 8, 3, 3, 1)]
    read = [np.arange(len(row)) for row in rows]
    with torch.no_grad():
        padded, alone = (plain_logits(model, rows, read, way) for way in ("right-padded", "one by one"))
    torch.testing.assert_close(padded, alone)


def test_the_attention_of_its_own_is_put_back() -> None:
    model = make_model(LlamaConfig(**SHAPE, num_key_value_heads=2))
    own = model.config._attn_implementation
    path_of(model, "training")
    assert model.config._attn_implementation == packing.ATTENTION
    with as_plain(model):
        assert model.config._attn_implementation == own
    assert model.config._attn_implementation == packing.ATTENTION


def test_what_plain_transformers_makes_of_the_rows_is_computed_once_until_a_weight_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, passes = make_model(LLAMA), []
    for part in model.parameters():
        part.requires_grad_(False)
    original = plain_rows.logits_of
    monkeypatch.setattr(self_test, "amplified", lambda _: None)
    monkeypatch.setattr(references, "amplified", lambda _: None)
    monkeypatch.setattr(plain_rows, "logits_of", lambda *given: passes.append(1) or original(*given))
    path_of(model, "training")
    once = len(passes)
    path_of(model, "scoring")
    path_of(model, "generation")
    assert len(passes) == once == 1  # What rounding does is measured where differences ask for it.
    vars(model).pop("_crosstune_paths")
    with torch.no_grad():
        model.model.norm.weight.mul_(2)
    assert path_of(model, "scoring").way == "packed"
    assert len(passes) == 2 * once
