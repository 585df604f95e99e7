"""Chains of products and sums as one kernel each, compiled by torch: what `lean_layers` computes with on GPUs.

On a GPU such a chain is bound by memory, and each of its operations reads and writes whole tensors. Compiled, it reads
its inputs and writes its outputs once, and computes in float32 in between whatever their precision.
"""

import os
import shutil
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import silu

T = TypeVar("T")


def c_compiler() -> str | None:
    """Return the C compiler by which torch.compile builds what launches its kernels on a GPU; None without one."""
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")


def can_compile() -> bool:
    """Return whether torch.compile finds what it needs for a GPU's kernels."""
    return find_spec("triton") is not None and c_compiler() is not None


def compiled_on_gpus(function: Callable[..., T]) -> Callable[..., T]:
    """Let torch compile a function of tensors where they are a GPU's, and what it needs for that is here."""

    @cache
    def compiled() -> Callable[..., T]:
        return torch.compile(function) if can_compile() else function

    @wraps(function)
    def call(*tensors: Tensor) -> T:
        return (compiled() if tensors[0].is_cuda else function)(*tensors)

    return call


@compiled_on_gpus
def gated(gate: Tensor, up: Tensor) -> Tensor:
    """Return the SiLU of the gate times what goes up."""
    return silu(gate) * up


@compiled_on_gpus
def gated_backward(upstream: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of `gated` by the gate and by what goes up."""
    opened = gate.sigmoid()
    return upstream * up * opened * (1 + gate * (1 - opened)), upstream * gate * opened


@compiled_on_gpus
def rotate_states(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate states, [rows, length, heads, size], by cosines and sines, [rows, length, size], in the states' type.

    Each number is turned together with the one half a size away (RoPE as in transformers' LLaMA).
    """
    other_half = _swapped(states) * _signed(sine).unsqueeze(2)
    return (states * cosine.unsqueeze(2) + other_half).to(states.dtype)


@compiled_on_gpus
def rotate_gradient(upstream: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return the gradient of `rotate_states` by the states."""
    other_half = _swapped(upstream * _signed(sine).unsqueeze(2))
    return (upstream * cosine.unsqueeze(2) + other_half).to(upstream.dtype)


def _swapped(states: Tensor) -> Tensor:
    return states.roll(states.shape[-1] // 2, -1)


def _signed(sine: Tensor) -> Tensor:
    is_first_half = torch.arange(sine.shape[-1], device=sine.device) < sine.shape[-1] // 2
    return torch.where(is_first_half, -sine, sine)
