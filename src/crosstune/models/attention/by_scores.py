"""Attention whose scores are capped or share with sinks, which no fused kernel computes: product by product."""

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from crosstune.models.attention.asked import AttentionRequest


def attend_by_scores(
    states: tuple[Tensor, Tensor, Tensor], bias: Tensor, scaling: float, asked: AttentionRequest, dropout: float = 0.0
) -> Tensor:
    """Attend; query, key, value: [heads, rows, length, size], bias: [rows or 1, queries, keys], added to the scores."""
    query, key, value = states
    scores = (query @ key.transpose(-1, -2)).float() * scaling
    if asked.softcap is not None:
        scores = asked.softcap * torch.tanh(scores / asked.softcap)
    scores = scores + bias
    if asked.sinks is not None:
        sinks = asked.sinks.float().view(-1, 1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = scores.softmax(dim=-1)
    if asked.sinks is not None:
        weights = weights[..., :-1]
    return drop(weights.to(value.dtype), dropout, training=dropout > 0) @ value
