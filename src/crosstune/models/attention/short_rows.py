"""Attend within short stretches of a packed row by plain matrix products, as one function, on a CPU.

On CPUs the fused kernel costs several times the plain products where there are few keys. As separate operations each
group of stretches would gather its queries, keys and values, and in the backward pass fill a tensor as large as the
packed row for each of them and add these up; here all groups add to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# Probabilities of groups with more keys are computed again for the backward pass: kept, they would be a large part of
# what a layer keeps. Again, they take about a fifth of the group's time.
_MAX_KEPT_KEYS = 320


@dataclass(frozen=True)
class Group:
    """Nodes of similar length whose attention is computed together, padded at their right ends.

    Attributes:
        queries: packed positions, [nodes, longest node].
        keys: packed positions, [nodes, longest path and node].
        mask: [nodes, longest node, longest path and node]; None when plain causal attention says the same.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor | None
    _biases: dict[torch.dtype, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def bias(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return what is added to scores, shaped as they are or broadcast to them: nothing, or minus infinity.

        In the scores' own type: of another one, a sum in place copies all scores there and back.
        """
        if dtype not in self._biases:
            length = self.queries.shape[1]
            seen = torch.ones(length, length, dtype=torch.bool).tril() if self.mask is None else self.mask
            self._biases[dtype] = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, float("-inf"))
        return self._biases[dtype]


def gather(states: Tensor, index: Tensor) -> Tensor:
    """Take [heads, packed length, size] at [nodes, longest] and return [heads, nodes, longest, size]."""
    return states.index_select(1, index.flatten()).view(len(states), *index.shape, states.shape[2])


def for_query_heads(states: Tensor, num_heads: int) -> Tensor:
    """Return the states of key heads, [key heads, ...], for each of the query heads that they serve."""
    # Grouped-query attention: each key head serves several.
    return states if len(states) == num_heads else states.repeat_interleave(num_heads // len(states), dim=0)


def attend_groups(states: tuple[Tensor, Tensor, Tensor], groups: Sequence[Group], scaling: float) -> Sequence[Tensor]:
    """Attend within each node; return each group's outputs, [heads, nodes, longest node, size].

    Query, key and value: [heads, packed length, size], of one type; the latter two may have fewer heads.
    """
    outputs: Sequence[Tensor] = _Attention.apply(*states, groups, scaling)  # type: ignore[no-untyped-call]
    return outputs


class _Attention(torch.autograd.Function):
    """Keeps what was gathered and, where they are small, the probabilities."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        query, key, value, ctx.groups, ctx.scaling = arguments
        heads, ctx.num_tokens = query.shape[:2]
        outputs, saved = [], []
        for group in ctx.groups:
            queries = gather(query, group.queries).mul_(ctx.scaling)
            keys, values = gather(key, group.keys), gather(value, group.keys)
            probabilities = _probabilities(queries, keys, group)
            outputs.append(probabilities @ for_query_heads(values, heads))
            is_kept = group.keys.shape[1] <= _MAX_KEPT_KEYS
            saved += [queries, keys, values, probabilities if is_kept else None]
        ctx.save_for_backward(*saved)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        queries, keys, values = saved[:3]
        by_query, by_key, by_value = (
            states.new_zeros(len(states), ctx.num_tokens, states.shape[3]) for states in (queries, keys, values)
        )
        for number, (group, by_output) in enumerate(zip(ctx.groups, upstream, strict=True)):
            queries, keys, values, kept = saved[4 * number : 4 * number + 4]
            heads = len(queries)
            probabilities = _probabilities(queries, keys, group) if kept is None else kept
            _add(by_value, group.keys, probabilities.transpose(2, 3) @ by_output)
            by_probability = by_output @ for_query_heads(values, heads).transpose(2, 3)
            by_score = torch.ops.aten._softmax_backward_data(by_probability, probabilities, -1, probabilities.dtype)
            _add(by_query, group.queries, (by_score @ for_query_heads(keys, heads)).mul_(ctx.scaling))
            _add(by_key, group.keys, by_score.transpose(2, 3) @ queries)
        return by_query, by_key, by_value, None, None


def _probabilities(queries: Tensor, keys: Tensor, group: Group) -> Tensor:
    scores = queries @ for_query_heads(keys, len(queries)).transpose(2, 3)
    return scores.add_(group.bias(scores.dtype)).softmax(dim=-1).to(queries.dtype)


def _add(total: Tensor, index: Tensor, gradient: Tensor) -> None:
    """Add what was gathered, [query heads, nodes, longest, size], where it was taken from."""
    flat = gradient.flatten(1, 2)
    if len(flat) != len(total):
        flat = flat.view(len(total), -1, *flat.shape[1:]).sum(1)
    total.index_add_(1, index.flatten(), flat)
