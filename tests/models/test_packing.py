"""Packing: many rows in one forward pass say what each says alone, and nothing is computed twice."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
)

from crosstune.models import packing

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 97,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama": LlamaConfig(**SHAPE, num_key_value_heads=2),
    "qwen2": Qwen2Config(**SHAPE, num_key_value_heads=2),
    "gpt_neox": GPTNeoXConfig(**SHAPE),
}


def make_model(config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()


def random_rows(seed: int) -> list[list[int]]:
    generator = random.Random(seed)

    def tokens(number: int) -> list[int]:
        return [generator.randrange(97) for _ in range(number)]

    shared, question = tokens(20), tokens(9)
    return [
        *(shared + tokens(generator.randrange(1, 30)) for _ in range(5)),
        shared,
        *(question + tokens(number) for number in (1, 2, 40, 300)),
        *(tokens(generator.randrange(1, 50)) for _ in range(4)),
    ]


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_packed_logits_equal_those_of_each_row_alone(name: str, share: bool) -> None:
    model, rows = make_model(CONFIGS[name]), random_rows(1)
    layout = packing.lay_out(rows, share)
    with torch.no_grad():
        model.set_attn_implementation(packing.ATTENTION)
        packed = packing.logits_at(model, layout, torch.arange(layout.num_tokens))
        model.set_attn_implementation("eager")
        for row, places in zip(rows, layout.token_positions, strict=True):
            alone = model(input_ids=torch.tensor([row])).logits[0]
            torch.testing.assert_close(packed[torch.from_numpy(places)], alone, atol=2e-5, rtol=1e-5)


def test_gradients_flow_through_shared_prefixes_as_through_copies() -> None:
    rows = random_rows(2)
    gradients = []
    for share in (False, True):
        model = make_model(CONFIGS["llama"])
        model.set_attn_implementation(packing.ATTENTION)
        layout = packing.lay_out(rows, share)
        positions = torch.cat([torch.from_numpy(places) for places in layout.token_positions])
        packing.logits_at(model, layout, positions).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for apart, shared in zip(*gradients, strict=True):
        torch.testing.assert_close(apart, shared, atol=1e-3, rtol=1e-4)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=25), min_size=1, max_size=12), st.booleans())
def test_every_token_has_its_place_and_position(rows: list[list[int]], share: bool) -> None:
    layout = packing.lay_out(rows, share)
    tokens, positions = layout.input_ids[0].numpy(), layout.position_ids[0].numpy()
    for row, places in zip(rows, layout.token_positions, strict=True):
        assert tokens[places].tolist() == row
        assert positions[places].tolist() == list(range(len(row)))
    if not share:
        assert layout.num_tokens == sum(map(len, rows))
    assert layout.num_tokens <= sum(map(len, rows))
    assert len(set(layout.grouped()[1].tolist())) == layout.num_tokens


def test_a_shared_prefix_stands_once() -> None:
    prefix = list(range(30))
    layout = packing.lay_out([[*prefix, 50], [*prefix, 51, 52], [*prefix, 53]], share_prefixes=True)
    assert layout.num_tokens == 30 + 1 + 2 + 1


def test_a_model_that_drops_keyword_arguments_is_refused() -> None:
    model = make_model(CONFIGS["llama"])
    model.set_attn_implementation(packing.ATTENTION)
    with pytest.raises(ValueError, match="was called without a layout"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


@pytest.mark.slow
@given(seed=st.integers(0, 1000), max_continuing=st.integers(1, 400), multiple_of=st.sampled_from([1, 16]))
@settings(max_examples=60)
def test_copies_of_a_prefix_and_filling_tokens_change_no_row(seed: int, max_continuing: int, multiple_of: int) -> None:
    rows = random_rows(seed)
    rows += [rows[0][:10] + row for row in random_rows(seed + 1)]
    layout = packing.lay_out(rows, share_prefixes=True, multiple_of=multiple_of, max_continuing=max_continuing)
    plain = packing.lay_out(rows, share_prefixes=True)
    assert layout.num_tokens % multiple_of == 0
    assert layout.num_tokens < 1.02 * plain.num_tokens + multiple_of
    for row, places in zip(rows, layout.token_positions, strict=True):
        assert layout.input_ids[0, places].tolist() == row
        assert layout.position_ids[0, places].tolist() == list(range(len(row)))
    assert sum(node.length for node in layout.nodes) == layout.num_tokens


def test_a_prefix_stands_again_where_many_tokens_continue_it() -> None:
    rows = [[*range(10), 20 + number, *range(60)] for number in range(40)]
    # 40 rows of 61 tokens of their own: three parts of 813 would do, two in a hundred of their tokens are four copies.
    layout = packing.lay_out(rows, share_prefixes=True, max_continuing=1000)
    assert layout.num_tokens == 40 * 61 + 3 * 10
    assert {len(node.path) for node in layout.nodes} == {0, 10}
    assert packing.lay_out(rows, share_prefixes=True, max_continuing=300).num_tokens == 40 * 61 + 4 * 10
    assert packing.lay_out(rows, share_prefixes=True, max_continuing=3000).num_tokens == 40 * 61 + 10
