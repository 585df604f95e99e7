"""Skip what the last layer would compute at positions where no logits are read.

Attention needs the last layer's keys and values everywhere. Its queries, the projection of what was attended to, and
the feed-forward network matter only where the head reads: before a token that is supervised or scored. These modules
treat every position apart, so hooks hand them the positions that are read, and put their outputs back in place with
zeros elsewhere. Losses and gradients stay the same but for rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crosstune.models.kernels import selftest
from crosstune.models.layers import inner_model

# Families whose last layer is followed by the final norm and the head alone, with the names of the modules concerned.
_MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
_MODULES = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
# Set on a layer that skips: with its hooks, it is in every copy of the layer.
_SKIPS = "_crosstune_skips_unread_positions"


@contextmanager
def skip_unread_positions(trained: nn.Module) -> Iterator[None]:
    """Let a model compute only what `packing.logits_at` reads, while in this context; others than LLaMA's stay as is.

    ``trained`` is the model as it is trained, adapters included, wrapped for several ranks or not. Within such a
    context of the same model or of what it was copied from, as where it is scored while it is trained, another changes
    nothing.
    """
    layer = last_layer(trained)
    if layer is None or hasattr(layer, _SKIPS) or not skipping_is_proven(layer):
        yield
        return
    with _skipping_in(layer):
        yield


@contextmanager
def _skipping_in(layer: nn.Module) -> Iterator[None]:
    skip = _Skip()
    handles = [layer.register_forward_pre_hook(skip.remember, with_kwargs=True)]
    for part in unread_modules(layer):
        handles += [part.register_forward_pre_hook(skip.take), part.register_forward_hook(skip.put)]
    setattr(layer, _SKIPS, True)
    try:
        yield
    finally:
        delattr(layer, _SKIPS)
        for handle in handles:
            handle.remove()


def skipping_is_proven(layer: Any) -> bool:
    """Return whether a layer gives the same at positions that are read, where it computes no others."""

    def at_read_positions(states: Tensor) -> Tensor:
        # Made here, in the test's own mode: what is made while a model answers cannot be part of a gradient.
        read = torch.tensor([1, 4, 6], device=states.device)
        positions = selftest.rotary_embedding(states, layer.self_attn.head_dim)
        output = layer(states, position_embeddings=positions, read_positions=read)
        return (output if isinstance(output, Tensor) else output[0]).index_select(1, read)

    def skipping(states: Tensor) -> Tensor:
        with _skipping_in(layer):
            return at_read_positions(states)

    key = type(layer).forward, type(layer.self_attn).forward, type(layer.mlp).forward
    size = layer.self_attn.q_proj.in_features
    return selftest.holds(f"{type(layer).__name__} at read positions", key, layer, size, skipping, at_read_positions)


def last_layer(trained: nn.Module) -> nn.Module | None:
    """Return the last layer of a model of LLaMA's family, None of any other."""
    decoder = family_decoder(trained)
    return None if decoder is None else decoder.layers[-1]


def family_decoder(trained: nn.Module) -> Any:
    """Return embeddings, layers and final norm of a model of LLaMA's family, None of any other."""
    model: Any = inner_model(trained)
    return model.get_decoder() if model.config.model_type in _MODEL_TYPES else None


def unread_modules(layer: nn.Module) -> list[nn.Module]:
    """Return the modules of a last layer that are needed only where logits are read."""
    return [layer.get_submodule(name) for name in _MODULES]


class _Skip:
    """The hooks, and what the layer that is running was asked for."""

    def __init__(self) -> None:
        self.read: Tensor | None = None
        self.num_tokens = 0

    def remember(self, _layer: nn.Module, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> None:
        # Set at each call of the layer, which gradient checkpointing repeats in the backward pass.
        self.read = options.get("read_positions")
        self.num_tokens = inputs[0].shape[1]

    def take(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Hand on [read positions, size] of [1, packed length, size]."""
        return None if self.read is None else (inputs[0].squeeze(0).index_select(0, self.read),)

    def put(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """Return [1, packed length, size] of [read positions, size]."""
        if self.read is None:
            return None
        everywhere = output.new_zeros(self.num_tokens, output.shape[1])
        return everywhere.index_copy(0, self.read, output).unsqueeze(0)
