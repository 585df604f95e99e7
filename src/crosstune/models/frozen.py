"""Weights that do not move, in fewer bits: layers that unpack theirs for a product and keep nothing of it.

Linear layers inside the model are in bfloat16, in NormalFloat4 with scales that are quantized themselves (Dettmers et
al. 2023, https://arxiv.org/abs/2305.14314), or in eight bits with a scale for each output; both are bitsandbytes'.
Embeddings and the head are in bfloat16 then, as there. What the layers compute is in the precision of the states that
they get. No checkpoint holds these weights: they are made again of the model that a phase begins with.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

Kind = Literal["bf16", "nf4", "int8"]
_HALF = torch.bfloat16


class FrozenWeights(nn.Module):
    """A module whose weights never move, and so are in no checkpoint."""

    def _save_to_state_dict(self, *_: Any) -> None:
        pass

    def _load_from_state_dict(self, *_: Any) -> None:
        pass


class FrozenLinear(FrozenWeights, nn.Linear):
    """A linear layer whose weight is packed. Who reaches for its ``weight`` finds none, but where that is bfloat16."""

    kind: Kind
    packed: nn.Parameter
    scales: Any

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """Return the weight, [outputs, inputs]; not a copy, where it has this type."""
        if self.kind == "bf16":
            return self.weight.to(dtype)
        from bitsandbytes import functional  # an extra

        if self.kind == "int8":
            return functional.int8_vectorwise_dequant(self.packed.data, self.scales).to(dtype)  # type: ignore[no-any-return]
        self.scales.dtype = dtype
        return functional.dequantize_4bit(self.packed.data, self.scales)  # type: ignore[no-any-return]

    def forward(self, states: Tensor) -> Tensor:
        """Return the product in the precision of the states, or of autocast."""
        output = frozen_product(states, self)
        return output if self.bias is None else output + self.bias.to(output.dtype)

    def spread(self) -> float:
        """Return the standard deviation of the weight."""
        return float(self.unpacked(torch.float32).std())

    def multiply_(self, factor: float) -> None:
        """Multiply a weight of four or eight bits by a number."""
        if self.kind == "int8":
            self.scales.mul_(factor)
        else:  # The scales of blocks are numbers of eight bits by scales of their own, and an offset.
            self.scales.state2.absmax.mul_(factor)
            self.scales.offset.mul_(factor)

    def _apply(self, fn: Any, recurse: bool = True) -> "FrozenLinear":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.kind == "int8":
            self.scales = self.scales.to(self.packed.device)
        elif self.kind == "nf4":
            self.scales.to(self.packed.device)
        return self


def frozen_product(states: Tensor, layer: FrozenLinear, num_outputs: int | None = None) -> Tensor:
    """Return the product with a packed weight, or its first outputs, without a bias; nothing is kept of the weight."""
    device = states.device.type
    if torch.is_autocast_enabled(device):
        states = states.to(torch.get_autocast_dtype(device))
    output: Tensor = _Product.apply(states, layer, num_outputs)  # type: ignore[no-untyped-call]
    return output


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, layer: FrozenLinear, num_outputs: int | None) -> Tensor:
        ctx.layer, ctx.num_outputs = layer, num_outputs
        return linear(states, layer.unpacked(states.dtype)[:num_outputs])

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        return upstream[0] @ ctx.layer.unpacked(upstream[0].dtype)[: ctx.num_outputs], None, None


def frozen_kinds(part: nn.Module) -> frozenset[str]:
    """Return what the packed weights inside a module are packed in."""
    return frozenset(inner.kind for inner in part.modules() if isinstance(inner, FrozenLinear))


def dtype_of_states(model: PreTrainedModel) -> torch.dtype:
    """Return what a model computes in without autocast: the type of its weights, but for those that are packed."""
    return next(_open_dtypes(model), model.dtype)


def _open_dtypes(model: nn.Module) -> Iterator[torch.dtype]:
    for part in model.modules():
        if not isinstance(part, FrozenWeights):
            for weight in part.parameters(recurse=False):
                if weight.is_floating_point():
                    yield weight.dtype
