"""FlexAttention over a layout: each position attends to its own row's beginning, and to nothing else."""

import pytest
import torch
from transformers import LlamaConfig

from crosstune.errors import BadInputError
from crosstune.models import packing
from crosstune.models.attention import flex
from tests.models.test_packing import CONFIGS, SHAPE, make_model, random_rows

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")


@pytest.mark.parametrize("share", [False, True])
def test_the_mask_is_each_token_of_the_row_up_to_the_position(share: bool) -> None:
    rows = random_rows(4)
    layout = packing.lay_out(rows, share)
    wanted = torch.zeros(layout.num_tokens, layout.num_tokens, dtype=torch.bool)
    for places in layout.token_positions:
        for index, place in enumerate(places):
            wanted[place, places[: index + 1]] = True
    steps = torch.arange(layout.num_tokens)
    assert torch.equal(flex.attends(layout, steps[:, None], steps[None, :]), wanted)
    # The blocks cover every pair that attends, and leave out most of the others.
    blocks = flex.block_mask(layout).to_dense()[0, 0].repeat_interleave(128, 0).repeat_interleave(128, 1).bool()
    assert not (wanted & ~blocks[: layout.num_tokens, : layout.num_tokens]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_logits_equal_those_of_the_grouped_kernels(name: str) -> None:
    model, layout = make_model(CONFIGS[name]), packing.lay_out(random_rows(3), share_prefixes=True)
    positions, found = torch.arange(layout.num_tokens), []
    with torch.no_grad():
        for attention in (packing.ATTENTION, flex.FLEX_ATTENTION):
            model.set_attn_implementation(attention)
            found.append(packing.logits_at(model, layout, positions))
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-5)


@pytest.mark.slow
def test_with_autocast_it_takes_queries_and_keys_that_were_rotated_in_float32() -> None:
    model, layout = make_model(CONFIGS["llama"]), packing.lay_out(random_rows(3), share_prefixes=True)
    positions, found = torch.arange(layout.num_tokens), []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for attention in (packing.ATTENTION, flex.FLEX_ATTENTION):
            model.set_attn_implementation(attention)
            found.append(packing.logits_at(model, layout, positions))
    # Both round to bfloat16, 8 bits, in other places.
    torch.testing.assert_close(*found, atol=2**-7 * float(found[0].abs().max()), rtol=0)


def test_what_it_cannot_compute_is_refused() -> None:
    layout = packing.lay_out([[1, 2, 3]], share_prefixes=False)
    model = make_model(LlamaConfig(**SHAPE, attention_dropout=0.1)).train()
    model.set_attn_implementation(flex.FLEX_ATTENTION)
    with pytest.raises(ValueError, match=r"attention_dropout=0.1.*flex_attention=false"):
        packing.logits_at(model, layout, torch.tensor([0]))
    with pytest.raises(ValueError, match="without a layout"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


def test_it_is_the_attention_on_gpus_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex, "can_compile", lambda: True)
    wide, gpu = {**SHAPE, "hidden_size": 64}, torch.device("cuda")  # heads of 16 numbers, as it needs
    model, narrow = make_model(LlamaConfig(**wide)), make_model(LlamaConfig(**SHAPE))
    assert flex.packed_attention(model, gpu) == flex.packed_attention(narrow, gpu, True) == flex.FLEX_ATTENTION
    assert flex.packed_attention(narrow, gpu) == flex.packed_attention(model, gpu, False) == packing.ATTENTION
    assert flex.packed_attention(make_model(LlamaConfig(**wide, attention_dropout=0.1)), gpu) == packing.ATTENTION
    monkeypatch.setattr(flex, "can_compile", lambda: False)
    assert flex.packed_attention(model, gpu) == packing.ATTENTION


def test_on_a_cpu_it_is_refused_where_it_is_asked_for() -> None:
    model, cpu = make_model(CONFIGS["llama"]), torch.device("cpu")
    assert flex.packed_attention(model, cpu) == packing.ATTENTION
    with pytest.raises(BadInputError, match=r"flex_attention=true needs a CUDA device.*set it to false"):
        flex.packed_attention(model, cpu, True)
