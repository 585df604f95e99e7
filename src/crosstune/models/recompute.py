"""Layers that are computed again for the backward pass, so that their states need not be kept."""

from typing import Any

from torch import nn


def recompute_layers(model: nn.Module, wanted: bool = True) -> None:
    """Let a transformers model keep only what enters each layer (Chen et al. 2016, arXiv:1604.06174), or all again."""
    inner: Any = model
    # transformers 5.23 named it anew, and warns of the old name.
    name = "activation" if hasattr(inner, "activation_checkpointing_enable") else "gradient"
    if wanted:
        getattr(inner, f"{name}_checkpointing_enable")({"use_reentrant": False})
    else:
        getattr(inner, f"{name}_checkpointing_disable")()
