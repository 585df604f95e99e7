"""Put weights that do not move into fewer bits, where they stand, and count what that saves."""

from functools import cache
from typing import Any

import torch
from peft.tuners.trainable_tokens import TrainableTokensLayer
from torch import Tensor, nn
from torch.nn.functional import embedding, linear
from transformers import PreTrainedModel

from crosstune.models.frozen import FrozenLinear, FrozenWeights, Kind, frozen_product

_HALF = torch.bfloat16


class _FrozenTable(FrozenWeights):
    """An embedding of bfloat16 whose states go on in float32; goes before the class of the embedding."""

    def forward(self, *tokens: Tensor) -> Tensor:
        states: Tensor = super().forward(*tokens)
        return states.float()


class _NewRowsBeside(TrainableTokensLayer):  # type: ignore[misc]
    """peft's rows that are trained beside a matrix, without a copy of the whole matrix in the rows' place.

    The rows are the last ones of the matrix. They stay in float32 where the matrix does not. As with peft, a bias of
    the head is added by who wraps it.
    """

    def forward_adapters(self, x: Tensor, active_adapters: Any, *_: Any, **__: Any) -> Tensor:
        """Return the states of tokens, or the logits of states."""
        (name,) = active_adapters
        rows: Tensor = self.trainable_tokens_delta[name]
        first = self.token_indices[name][0]
        if not isinstance(self.base_layer, nn.Embedding):
            return torch.cat([frozen_product(x, self.base_layer, first), linear(x, rows)], dim=-1)
        old = embedding(x.clamp(max=first - 1), self.base_layer.weight).float()
        new = embedding((x - first).clamp(min=0), rows)
        states = torch.where((x >= first).unsqueeze(-1), new, old)
        scale = self._get_embed_scale()
        return states if scale is None else states * scale.to(states.dtype)


def pack_frozen_weights(trained: nn.Module, kind: Kind) -> tuple[int, int]:
    """Put the linear layers and embeddings of which nothing is trained into fewer bits, where they stand.

    ``trained`` is the model as it is trained, adapters included. Return how many weights that were, and the bytes that
    they take now.
    """
    halves = {id(weight) for weight in _tables(trained)}
    num_weights = num_bytes = 0
    counted: set[int] = set()
    for part in list(trained.modules()):
        if any(weight.requires_grad for weight in part.parameters(recurse=False)):
            continue
        weight = getattr(part, "weight", None)
        size = weight.numel() if isinstance(weight, nn.Parameter) else 0
        # In place: a layer may have several owners, and a matrix two layers.
        if type(part) is nn.Linear:
            pack(part, "bf16" if id(weight) in halves else kind)
        elif isinstance(part, nn.Embedding):
            part.weight.data = part.weight.data.to(_HALF)
            of_table: Any = type(part)
            part.__class__ = _frozen_table(of_table)
        elif type(part) is TrainableTokensLayer:
            part.__class__ = _NewRowsBeside
            continue
        else:
            continue
        if id(weight) not in counted:
            counted.add(id(weight))
            num_weights, num_bytes = num_weights + size, num_bytes + bytes_of(part)
    return num_weights, num_bytes


def bytes_of(part: nn.Module) -> int:
    """Return the bytes that a module's own weights take."""
    held = list(part.parameters(recurse=False))
    if isinstance(part, FrozenLinear) and part.kind != "bf16":
        found = [part.scales] if part.kind == "int8" else [part.scales.absmax, part.scales.state2.absmax]
        return sum(tensor.nbytes for tensor in (*held, *found))
    return sum(tensor.nbytes for tensor in held)


def bytes_when_packed(trained: nn.Module, kind: Kind) -> tuple[float, int]:
    """Return the bytes of all weights of a model as `pack_frozen_weights` would leave it, and its largest matrix.

    Counted by sizes alone: the model may have weights without content.
    """
    halves = {id(weight) for weight in _tables(trained)}
    num_bytes, largest, counted = 0.0, 0, set[int]()
    for part in trained.modules():
        for weight in part.parameters(recurse=False):
            if id(weight) in counted:
                continue
            counted.add(id(weight))
            is_packed = type(part) is nn.Linear and not any(one.requires_grad for one in part.parameters(False))
            if id(weight) in halves and not weight.requires_grad:
                num_bytes += 2 * weight.numel()
            elif is_packed and weight.ndim == 2:
                # In four bits 64 share a scale of eight bits, and 256 of these one of 32.
                of_scales = {"bf16": 2.0, "nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1 + 4 / weight.shape[1]}
                num_bytes += of_scales[kind] * weight.numel()
                largest = max(largest, weight.numel())
            else:
                num_bytes += 4 * weight.numel()
    return num_bytes, largest


def _tables(trained: nn.Module) -> list[Tensor]:
    """Return the matrices of embeddings and head: what has a row for each piece."""
    model: Any = next(part for part in trained.modules() if isinstance(part, PreTrainedModel))
    head = model.get_output_embeddings()
    heads: list[Tensor] = [part.weight for part in head.modules() if isinstance(part, nn.Linear)]
    return heads + [part.weight for part in trained.modules() if isinstance(part, nn.Embedding)]


def pack(layer: nn.Linear, kind: Kind) -> None:
    """Pack a linear layer's weight, and let the layer be a `FrozenLinear` from now on."""
    weight = layer.weight
    layer.__class__ = FrozenLinear
    packed: Any = layer
    packed.kind = kind
    if kind == "bf16":
        weight.data = weight.data.to(_HALF)
        return
    from bitsandbytes import functional  # an extra

    if kind == "int8":
        values, packed.scales, _ = functional.int8_vectorwise_quant(weight.data)
    else:
        values, packed.scales = functional.quantize_4bit(weight.data, quant_type="nf4", compress_statistics=True)
    del packed.weight
    packed.packed = nn.Parameter(values, requires_grad=False)


@cache
def _frozen_table(kind: Any) -> Any:
    return type(f"Frozen{kind.__name__}", (_FrozenTable, kind), {})
