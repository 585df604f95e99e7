"""Weights in bfloat16 that are trained: what the layers compute with them is in the precision of the states they get.

The rows of an embedding go on in float32, so that what layers add to them is not rounded away.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from crosstune.errors import BadInputError


class HalfLinear(nn.Linear):
    """A linear layer with a weight in bfloat16, and products in the precision of the states or of autocast."""

    def forward(self, states: Tensor) -> Tensor:
        """Return the product."""
        if torch.is_autocast_enabled(states.device.type):
            return linear(states, self.weight, self.bias)
        bias = None if self.bias is None else self.bias.to(states.dtype)
        return linear(states, self.weight.to(states.dtype), bias)


class _HalfTable(nn.Module):
    """An embedding of bfloat16 whose states go on in float32; goes before the class of the embedding."""

    def forward(self, *tokens: Tensor) -> Tensor:
        states: Tensor = super().forward(*tokens)
        return states.float()


def halve_weights(model: nn.Module) -> None:
    """Put all weights of a model into bfloat16, where they stand.

    Raises:
        BadInputError: where a weight is multiplied by something else than a linear layer, which float32 states need.
    """
    inside: set[int] = set()
    for part in model.modules():
        if type(part) is nn.Linear:
            part.__class__ = HalfLinear
        elif isinstance(part, nn.Embedding):
            kind: Any = type(part)
            part.__class__ = _half_table(kind)
        else:
            continue
        inside |= {id(weight) for weight in part.parameters(recurse=False)}
    others = [name for name, weight in model.named_parameters() if weight.ndim > 1 and id(weight) not in inside]
    if others:
        raise BadInputError(
            f"train.weights=bf16 is for linear layers and embeddings, and this model has {len(others)} other matrices "
            f"({', '.join(others[:3])}): set train.weights=float32"
        )
    # Not the buffers: the frequencies of rotary embeddings are no weights.
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16)


def restore_weights(model: nn.Module) -> None:
    """Put all weights of a model whose weights were halved into float32, which holds every number of bfloat16."""
    if not any(isinstance(part, HalfLinear) for part in model.modules()):
        return
    for module in model.modules():
        part: Any = module
        if isinstance(module, HalfLinear):
            part.__class__ = nn.Linear
        elif isinstance(module, _HalfTable):
            part.__class__ = type(module).__mro__[2]
    for weight in model.parameters():
        weight.data = weight.data.float()


@cache
def _half_table(kind: Any) -> Any:
    return type(f"Half{kind.__name__}", (_HalfTable, kind), {})
