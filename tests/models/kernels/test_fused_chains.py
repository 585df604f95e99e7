"""Chains of one kernel compute what their operations do one by one; their gradients are autograd's."""

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from crosstune.models.kernels.fused_chains import gated, gated_backward, rotate_gradient, rotate_states

COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
HEADERS = Path(sysconfig.get_path("include")) / "Python.h"
needs_compiler = pytest.mark.skipif(
    not (COMPILER and HEADERS.exists()), reason="needs a C++ compiler and Python's headers"
)


def randn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=dtype == torch.float64)


def transformers_rotation(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return apply_rotary_pos_emb(states, states, cosine, sine, unsqueeze_dim=2)[0]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_the_gate_and_its_gradients() -> None:
    gate, up, upstream = randn(2, 3, 8), randn(2, 3, 8), torch.randn(2, 3, 8, dtype=torch.float64)
    expected = silu(gate) * up
    torch.testing.assert_close(gated(gate, up), expected)
    torch.testing.assert_close(gated_backward(upstream, gate, up), torch.autograd.grad(expected, (gate, up), upstream))


def test_the_rotation_and_its_gradient() -> None:
    states, upstream = randn(1, 5, 2, 6), torch.randn(1, 5, 2, 6, dtype=torch.float64)
    # Angles of the two halves differ, which no model's do: neither half may take the other's.
    cosine, sine = torch.randn(2, 1, 5, 6, dtype=torch.float64)
    expected = transformers_rotation(states, cosine, sine)
    torch.testing.assert_close(rotate_states(states, cosine, sine), expected)
    (gradient,) = torch.autograd.grad(expected, states, upstream)
    torch.testing.assert_close(rotate_gradient(upstream, cosine, sine), gradient)


def test_rotated_states_keep_their_type() -> None:
    states, (cosine, sine) = randn(1, 5, 2, 6, dtype=torch.bfloat16), torch.randn(2, 1, 5, 6)
    assert rotate_states(states, cosine, sine).dtype == torch.bfloat16
    assert rotate_gradient(states, cosine, sine).dtype == torch.bfloat16


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (gated, [(2, 8), (2, 8)]),
        pytest.param(gated_backward, [(2, 8), (2, 8), (2, 8)], marks=pytest.mark.exhaustive),
        pytest.param(rotate_states, [(1, 5, 2, 6), (1, 5, 6), (1, 5, 6)], marks=pytest.mark.exhaustive),
        (rotate_gradient, [(1, 5, 2, 6), (1, 5, 6), (1, 5, 6)]),
    ],
)
def test_compiled_they_compute_the_same_in_float32_inside(
    function: Callable[..., Any], shapes: list[tuple[int, ...]]
) -> None:
    compiled = torch.compile(function.__wrapped__)  # type: ignore[attr-defined]
    inputs = [randn(*shape, dtype=torch.bfloat16) for shape in shapes]
    expected = function(*(tensor.float() for tensor in inputs))
    # Rounded once, at the end, to 8 bits.
    torch.testing.assert_close(compiled(*inputs), expected, check_dtype=False, atol=1e-6, rtol=2**-8)
