"""Every kernel that replaces a library's computation is held to it here, at run time, on the model and machine at hand.

The replacements of this package repeat what torch and transformers computed when they were written. A later release
may compute something else. So each kind of module is asked once, with a few random states: ours against the library's,
outputs and, where gradients are enabled, gradients. Where they differ by more than rounding, the library's is used, and
a note says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from crosstune.models.frozen import FrozenWeights, frozen_kinds
from crosstune.terminal.output import note

Computation = Callable[[Tensor], Tensor]
_NUM_STATES = 8
_COMPARED_AT_ONCE = 2**20
# Of what the last digit of the states makes of the library's own result: sharp attention moves further with the order
# of additions than the digits of its outputs tell. And how far that may be at most.
_TIMES_NOISE, _MOST = 8.0, 5e-4
# By what is computed (a class, its forward function), precision, kind of device, and whether gradients were compared:
# the largest difference found.
known_differences: dict[tuple[Any, ...], float] = {}


def holds(what: str, key: Any, part: nn.Module, size: int, ours: Computation, theirs: Computation) -> bool:
    """Return whether a replacement computes what the library does, but for rounding; ask once per key and device.

    Args:
        what: what is replaced, for the note.
        key: what the verdict holds for, such as the library's function.
        part: the module, whose weights are used as they are.
        size: of a state; both computations get states of [1, 8, size].
        ours: the replacement.
        theirs: the library's own computation.
    """
    # Of packed weights the type says nothing: their layers compute in that of the states.
    weights = _open_weights(part) or list(part.parameters())
    with_gradients = torch.is_grad_enabled()
    if any(isinstance(weight, DTensor) for weight in weights):
        # Split over ranks, they can no longer be multiplied one module at a time: it was asked before they were split.
        known = [
            found
            for (of, *_, had_gradients), found in known_differences.items()
            if of == key and had_gradients >= with_gradients
        ]
        return bool(known) and max(known) <= 1
    weight = weights[0]
    full_key = key, weight.dtype, weight.device.type, frozen_kinds(part), with_gradients
    if full_key not in known_differences:
        known_differences[full_key] = _measure(part, size, (ours, theirs), with_gradients)
        if not known_differences[full_key] <= 1:
            note(
                f"{what}: the kernel that would replace the library's computation gives another result on this "
                f"machine (its difference is {known_differences[full_key]:.1e} times what rounding explains): the "
                "library's own is used, which is slower"
            )
    return known_differences[full_key] <= 1


def _measure(part: nn.Module, size: int, both: Sequence[Computation], with_gradients: bool) -> float:
    """Return the largest difference between the two, as a multiple of what rounding explains."""
    like = [weight.detach() for weight in _open_weights(part)]
    weight = like[0] if like else torch.empty(0, device=next(part.parameters()).device)
    states = _drawn((1, _NUM_STATES, size), weight, seed=0)
    eps = torch.finfo(weight.dtype).eps
    tolerance = max(1e-5, 8 * eps)
    with _as_it_is_asked(part, weight.device.type, with_gradients):
        found, expected = (_outputs_and_gradients(compute, states, part) for compute in both)
        difference = _largest_of(found, expected)
        if tolerance < difference <= _MOST:
            moved = _outputs_and_gradients(both[1], states * (1 + eps * _drawn(states.shape, states, seed=2)), part)
            tolerance = max(tolerance, min(_TIMES_NOISE * _largest_of(moved, expected), _MOST))
    return difference / tolerance


def _open_weights(part: nn.Module) -> list[nn.Parameter]:
    return [
        weight
        for inner in part.modules()
        if not isinstance(inner, FrozenWeights)
        for weight in inner.parameters(recurse=False)
    ]


@contextmanager
def _as_it_is_asked(part: nn.Module, device: str, with_gradients: bool) -> Iterator[None]:
    """Without dropout, in the weights' own precision, by an attention that needs no layout."""
    modules = [(module, module.training) for module in part.modules()]
    config: Any = getattr(part, "config", None) or next(
        (module.config for module, _ in modules if hasattr(module, "config")), None
    )
    attention = getattr(config, "_attn_implementation", None)
    part.eval()
    if attention:
        config._attn_implementation = "sdpa"
    try:
        with torch.inference_mode(False), torch.set_grad_enabled(with_gradients), torch.autocast(device, enabled=False):
            yield
    finally:
        for module, was_training in modules:
            module.training = was_training
        if attention:
            config._attn_implementation = attention


def _drawn(shape: Sequence[int], like: Tensor, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(like)


def _outputs_and_gradients(compute: Computation, states: Tensor, part: nn.Module) -> list[Tensor]:
    if not torch.is_grad_enabled():
        return [compute(states)]
    states = states.clone().requires_grad_()
    trained = [weight for weight in part.parameters() if weight.requires_grad]
    output = compute(states)
    downstream = (output * _drawn(output.shape, output, seed=1)).sum()
    gradients = torch.autograd.grad(downstream, [states, *trained], allow_unused=True)
    return [output.detach(), *(torch.zeros(1) if gradient is None else gradient for gradient in gradients)]


def _largest_of(found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    return max(_difference(one, other) for one, other in zip(found, expected, strict=True))


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    # Some rows at a time: a layer's gradients, of a model of 7 billion weights, take 0.8 GB, and so would differences.
    num_parts = 1 + expected.numel() // _COMPARED_AT_ONCE
    both = (found, expected) if found.ndim else (found[None], expected[None])
    parts = list(zip(*(values.chunk(num_parts) for values in both), strict=True))
    largest = _largest(other for _, other in parts)
    difference = _largest(one - other for one, other in parts)
    return difference / largest if largest else difference


def _largest(parts: Iterable[Tensor]) -> float:
    """Return the largest absolute value; no number where one is none."""
    ends = [torch.stack(part.aminmax()).abs().max() for part in parts]
    return float(torch.stack(ends).max())


def rotary_embedding(states: Tensor, head_size: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, [1, length, head size], as a model's rotary embedding makes them."""
    length = states.shape[1]
    frequencies = 10_000.0 ** (-torch.arange(0, head_size, 2, device=states.device) / head_size)
    angles = torch.arange(length, device=states.device).unsqueeze(1) * frequencies
    both_halves = torch.cat((angles, angles), dim=-1).unsqueeze(0)
    return both_halves.cos().to(states.dtype), both_halves.sin().to(states.dtype)
