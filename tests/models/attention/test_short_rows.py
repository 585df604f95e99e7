"""Attention of all short stretches as one function has the outputs and gradients of attention."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from crosstune.models.attention.short_rows import attend_groups, for_query_heads, gather
from crosstune.models.packing import lay_out

PREFIX = [7, 8, 9, 10, 11, 12, 13, 14, 15]
# A prefix, what goes on from it, and rows of their own: groups with a mask and without, with padded queries and keys.
ROWS = [[*PREFIX, 20], [*PREFIX, 21, 22], [3, 4], [5, 6, 7]]


def doubles(heads: int, num_tokens: int) -> torch.Tensor:
    return torch.randn(heads, num_tokens, 3, dtype=torch.float64, requires_grad=True)


@pytest.mark.slow
@pytest.mark.parametrize("key_heads", [4, 2])
def test_outputs_and_gradients_are_those_of_attention(key_heads: int) -> None:
    torch.manual_seed(0)
    layout = lay_out(ROWS, share_prefixes=True)
    assert {group.mask is None for group in layout.grouped()[0]} == {True, False}
    states = (doubles(4, layout.num_tokens), *(doubles(key_heads, layout.num_tokens) for _ in range(2)))
    for group, found in zip(layout.grouped()[0], attend_groups(states, layout.grouped()[0], 0.6), strict=True):
        key, value = (for_query_heads(gather(taken, group.keys), 4) for taken in states[1:])
        expected = scaled_dot_product_attention(
            gather(states[0], group.queries), key, value, group.bias(torch.float64), scale=0.6
        )
        torch.testing.assert_close(found, expected)

    def read(*states: torch.Tensor) -> torch.Tensor:
        outputs = torch.cat([output.flatten(1, 2) for output in attend_groups(states, layout.grouped()[0], 0.6)], dim=1)
        return outputs.index_select(1, layout.grouped()[1])

    assert torch.autograd.gradcheck(read, states)


@pytest.mark.slow
def test_longer_groups_keep_less_than_their_probabilities_and_have_the_same_gradients() -> None:
    torch.manual_seed(0)
    heads, long = 2, 400
    layout = lay_out([[1] * long, [2] * (long - 10)], share_prefixes=False)
    groups = layout.grouped()[0]
    states = tuple(doubles(heads, layout.num_tokens) for _ in range(3))
    kept = 0

    def note(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        (found,) = attend_groups(states, groups, 0.6)
    assert kept < heads * 2 * long * long
    query, key, value = (gather(taken, groups[0].queries) for taken in states)
    expected = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.6)
    upstream = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, states, upstream), torch.autograd.grad(expected, states, upstream), strict=True
    ):
        torch.testing.assert_close(one, other)
