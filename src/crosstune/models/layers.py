"""What is inside a model: that of transformers, its layers, and which of them are of one kind."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers import PreTrainedModel

Kind = tuple[Any, ...]
"""What layers of a model have in common that compute alike."""


def inner_model(trained: nn.Module) -> PreTrainedModel:
    """Return the transformers model inside adapters and wrappers for several ranks."""
    return next(part for part in trained.modules() if isinstance(part, PreTrainedModel))


def layers_of(trained: nn.Module) -> nn.ModuleList:
    """Return the stack of layers: the longest list of modules that is in no other one, as lists of experts are."""
    lists = {name: part for name, part in trained.named_modules() if isinstance(part, nn.ModuleList)}
    outer = [part for name, part in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    return max(outer, key=len)


def kinds_of_layers(model: nn.Module) -> list[Kind]:
    """Return what tells a model's layers apart: their parts, switches and shapes, but no numbers of layers."""
    return [
        tuple((name, type(part).__name__, *_switches(part), *_shapes(part)) for name, part in layer.named_modules())
        for layer in layers_of(model)
    ]


def _switches(part: nn.Module) -> Iterator[tuple[str, Any]]:
    # As `is_sliding`, `layer_type` and `is_kv_shared_layer`.
    yield from ((name, value) for name, value in vars(part).items() if isinstance(value, bool | str))


def _shapes(part: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, weight in part.named_parameters(recurse=False):
        yield name, (tuple(weight.shape), weight.requires_grad)
