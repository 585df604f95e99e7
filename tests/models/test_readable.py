"""A model that can be read exactly in no way is refused, and a small copy of any architecture tells it beforehand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GPTNeoConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    PreTrainedConfig,
    Qwen3NextConfig,
)

from crosstune.errors import BadInputError
from crosstune.models import small_copy as module
from crosstune.models.heads import attention_width, head_sizes
from crosstune.models.paths import path_of
from crosstune.models.references import refuse_unreadable_kind
from crosstune.models.small_copy import small_copy
from tests.models.test_packing import SHAPE, make_model

LLAMA = LlamaConfig(**SHAPE, num_key_value_heads=2)
BERT: dict[str, Any] = {
    **{"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
}
AHEAD = r"BertLMHeadModel cannot be trained or scored exactly in any way: its tokens see those that follow .* nats"


@pytest.mark.parametrize("use", ["training", "scoring", "generation"])
def test_a_model_whose_tokens_see_those_that_follow_is_refused(use: Any) -> None:
    with pytest.raises(BadInputError, match=AHEAD):
        path_of(make_model(BertConfig(**BERT)), use)


def test_an_encoder_that_is_a_decoder_is_read() -> None:
    assert path_of(make_model(BertConfig(**BERT, is_decoder=True)), "training").way in ("packed", "right-padded")


def test_a_model_that_computes_no_numbers_is_refused() -> None:
    model = make_model(LLAMA)
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    with pytest.raises(BadInputError, match=r"computes no numbers \(NaN\) for a row"):
        path_of(model, "scoring")


def test_a_model_that_plain_transformers_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no kernel for this\nand more")

    monkeypatch.setattr(LlamaForCausalLM, "forward", broken)
    with pytest.raises(BadInputError, match=r"transformers itself cannot read a row.*RuntimeError: no kernel for this"):
        path_of(make_model(LLAMA), "training")


def test_a_configuration_tells_it_without_weights() -> None:
    with pytest.raises(BadInputError, match=AHEAD):
        refuse_unreadable_kind(BertConfig(**BERT))
    refuse_unreadable_kind(LLAMA)


@pytest.mark.slow
def test_a_copy_has_few_layers_and_few_experts_of_each_kind() -> None:
    config = Qwen3NextConfig(
        **{"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "num_experts": 64},
        **{
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        },
        **{"moe_intermediate_size": 512, "shared_expert_intermediate_size": 512},
    )
    copied = small_copy(config, 1e8)
    assert copied.config.layer_types == ["linear_attention"] * 3 + ["full_attention"]
    assert (copied.config.num_experts, copied.config.moe_intermediate_size) == (16, 256)
    assert path_of(copied, "training").way == "right-padded"


@pytest.mark.parametrize(
    "config",
    [
        # The number of layers is said twice, and the kinds of layers by a list of another length.
        GPTNeoConfig(vocab_size=600, hidden_size=32, num_layers=4, num_heads=4, attention_types=[[["global"], 4]]),
        LlamaConfig(**SHAPE, num_key_value_heads=2, tie_word_embeddings=True),
    ],
    ids=lambda config: config.model_type,
)
def test_where_less_makes_no_model_more_is_kept(config: PreTrainedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "with_small_layers", lambda content: {**content, "hidden_size": 33})
    copied = small_copy(config, 1e8)
    assert copied.config.hidden_size == 32


def test_what_has_an_entry_for_each_layer_by_its_number_is_cut() -> None:
    content = {"of_layer": {"0": "a", "3": "b"}, "kinds": ["x"] * 4, "num_hidden_layers": 4, **LLAMA.to_dict()}
    changed = module.with_few_layers(LlamaConfig(**SHAPE | {"num_hidden_layers": 4}), content)
    assert changed["num_hidden_layers"] == 2
    assert (changed["of_layer"], changed["kinds"]) == ({"0": "a"}, ["x"] * 2)


def test_heads_are_counted_layer_by_layer_where_they_differ() -> None:
    config = LlamaConfig(**SHAPE, num_key_value_heads=2)
    alike = attention_width(config)
    assert alike == SHAPE["num_hidden_layers"] * config.num_attention_heads * head_sizes(config)[0]
    config.per_layer_config = {0: {"head_dim": 2 * head_sizes(config)[0]}}
    assert attention_width(config) == alike * 3 // 2


def test_a_model_without_attention_has_no_heads() -> None:
    config = MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2)
    assert (head_sizes(config), attention_width(config)) == ([], 0)


def test_parts_are_made_small_too() -> None:
    part = {"model_type": "x", "num_hidden_layers": 24, "intermediate_size": 4096, "num_blocks": 1, "vocab_size": 9999}
    content = {**LLAMA.to_dict(), "vision": part, "hash_vocab": 500_000, "vocab_size": 600}
    small = module.with_small_layers(module.with_few_pieces(content))
    assert small["vision"] == {**part, "num_hidden_layers": 2, "intermediate_size": 256, "vocab_size": 512}
    assert (small["hash_vocab"], small["vocab_size"]) == (512, 512)


def test_without_room_for_a_copy_the_dry_run_says_so_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    config = LlamaConfig(vocab_size=512, hidden_size=16_384, num_attention_heads=64, num_hidden_layers=126)
    refuse_unreadable_kind(config)
    told = capsys.readouterr().err
    assert "how llama reads rows is tested when training starts, not before" in told
    assert "a copy would have 2,190M weights, and there is room for" in " ".join(told.split())


@pytest.mark.slow
def test_doctor_and_dry_run_say_it_in_a_sentence(tmp_path: Path) -> None:
    from crosstune.doctor.reading import look_at_reading
    from crosstune.doctor.subject import Subject

    BertLMHeadModel(BertConfig(**BERT)).save_pretrained(tmp_path)
    found = [finding for finding in look_at_reading(Subject("bert", tmp_path)) if finding.verdict == "stop"]
    assert [finding.name for finding in found] == ["training", "scoring", "generation"]
    assert "its tokens see those that follow" in found[0].says
