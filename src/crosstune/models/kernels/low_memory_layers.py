"""Compute the layers of LLaMA's family in fewer passes through memory, and keep less of them for the backward pass.

transformers writes a norm, a gated feed-forward network and a rotary embedding as a chain of products and sums, each of
which reads and writes a whole tensor and saves one for the backward pass. Here each chain is one function that works in
place on its own tensors, on a GPU one kernel, and saves its inputs at most. Losses and gradients stay the same but for
rounding.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu
from transformers import AttentionInterface
from transformers.activations import SiLUActivation

from crosstune.models.kernels import selftest
from crosstune.models.kernels.fused_chains import gated, gated_backward, rotate_gradient, rotate_states
from crosstune.models.kernels.skip_unused_positions import family_decoder

Forward = Callable[..., Any]
_replaced: WeakSet[nn.Module] = WeakSet()


@contextmanager
def lean_layers(trained: nn.Module, ask: bool = True) -> Iterator[None]:
    """Let a model of LLaMA's family compute its layers so, while in this context; others stay as they are.

    ``trained`` is the model as it is trained, adapters included. Within such a context of the same model another
    changes nothing. Without ``ask``, no module is held to the library's: tensors without content give no numbers.
    """
    with replaced_forwards(dict(_proven_forwards(trained, ask))):
        yield


@contextmanager
def replaced_forwards(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Let modules compute by other functions, while in this context, where none was put in their place already."""
    mine = {part: forward for part, forward in forwards.items() if "forward" not in vars(part)}
    for part, forward in mine.items():
        part.forward = forward
        _replaced.add(part)
    try:
        yield
    finally:
        for part in mine:
            del part.forward
            _replaced.discard(part)


@contextmanager
def own_forwards(model: nn.Module) -> Iterator[None]:
    """Let a model's modules compute by their own functions again, while in this context."""
    set_aside = {part: vars(part)["forward"] for part in model.modules() if part in _replaced}
    for part in set_aside:
        del part.forward
    try:
        yield
    finally:
        for part, forward in set_aside.items():
            part.forward = forward


def prove_lean_layers(trained: nn.Module) -> None:
    """Hold the layers of LLaMA's family to transformers' own, while no weight is split over ranks yet."""
    for _ in _proven_forwards(trained, ask=True):
        pass


def _proven_forwards(trained: nn.Module, ask: bool) -> Iterator[tuple[nn.Module, Forward]]:
    """Yield the modules with the functions that replace their forward, as far as these compute the same."""
    decoder = family_decoder(trained)
    for part in decoder.modules() if decoder is not None else ():
        forward = _lean_forward(part)
        if forward is not None and (not ask or _is_proven(part, forward)):
            yield part, forward


def _lean_forward(part: Any) -> Forward | None:
    kind = type(part).__name__
    if kind.endswith("RMSNorm"):
        return partial(_norm, part)
    if kind.endswith("MLP") and isinstance(part.act_fn, SiLUActivation | nn.SiLU):
        return partial(feed_forward, part)
    if kind.endswith("Attention"):
        return partial(_attention, part)
    return None


def _is_proven(part: Any, forward: Forward) -> bool:
    theirs = type(part).forward
    ours, original = forward, partial(theirs, part)
    if hasattr(part, "q_proj"):
        size = part.q_proj.in_features
        ours, original = (partial(_first_output, one, part.head_dim) for one in (forward, original))
    else:
        size = part.gate_proj.in_features if hasattr(part, "gate_proj") else part.weight.shape[0]
    return selftest.holds(type(part).__name__, theirs, part, size, ours, original)


def _first_output(attend: Forward, head_size: int, states: Tensor) -> Tensor:
    output: Tensor = attend(states, selftest.rotary_embedding(states, head_size), None)[0]
    return output


def _norm(norm: Any, states: Tensor) -> Tensor:
    if states.is_cuda and states.dtype == norm.weight.dtype:
        return rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)
    if states.dtype != torch.float32 or norm.weight.dtype != torch.float32:
        # Where the model's own computes in float32 and rounds in between.
        return type(norm).forward(norm, states)  # type: ignore[no-any-return]
    return Norm.apply(states, norm.weight, norm.variance_epsilon)  # type: ignore[no-any-return,no-untyped-call]


def feed_forward(network: Any, states: Tensor) -> Tensor:
    """Return what a gated network computes, and keep for the backward pass only what it reads."""
    product: Tensor = Gate.apply(network.gate_proj(states), network.up_proj(states))  # type: ignore[no-untyped-call]
    with multiplied_again(product):
        return network.down_proj(product)  # type: ignore[no-any-return]


def _attention(
    attention: Any,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor] | None = None,
    attention_mask: Tensor | None = None,
    cache: Any = None,
    past_key_values: Any = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Do what these families' attention does, but for the rotary embedding. Hidden states: [rows, length, size].

    The cache is called ``past_key_values`` before transformers 5.24.
    """
    cache = past_key_values if cache is None else cache
    attend = AttentionInterface().get(attention.config._attn_implementation)  # type: ignore[no-untyped-call]
    if attend is None or position_embeddings is None:
        return type(attention).forward(  # type: ignore[no-any-return]
            attention, hidden_states, position_embeddings, attention_mask, cache, **options
        )
    shape = (*hidden_states.shape[:-1], -1, attention.head_dim)
    query, key, value = (
        project(hidden_states).view(shape) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if hasattr(attention, "q_norm"):  # Qwen 3
        query, key = attention.q_norm(query), attention.k_norm(key)
    query, key = (Rotation.apply(states, *position_embeddings) for states in (query, key))  # type: ignore[no-untyped-call]
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    if cache is not None:
        key, value = cache.update(key, value, attention.layer_idx)
    if attention.config.model_type != "llama":
        options["sliding_window"] = getattr(attention, "sliding_window", attention.config.sliding_window)
    output, weights = attend(
        attention,
        *(query, key, value),
        attention_mask,
        dropout=attention.attention_dropout if attention.training else 0.0,
        scaling=attention.scaling,
        **options,
    )
    return attention.o_proj(output.reshape(*hidden_states.shape[:-1], -1)), weights


class Norm(torch.autograd.Function):
    """Root mean square norm: keeps its input and one number a position."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Return the states divided by their size, times the weight."""
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        inverse = length.square_().div_(states.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(states, weight, inverse)
        normed: Tensor = (states * inverse).mul_(weight)
        return normed

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of the states and of the weight."""
        states, weight, inverse = ctx.saved_tensors
        product = upstream[0] * states
        flat = product.flatten(0, -2)
        by_weight = inverse.flatten() @ flat if ctx.needs_input_grad[1] else None
        # Every coordinate of the input also moves the root mean square by which all are divided.
        moved = (flat @ weight).view_as(inverse) * inverse.pow(3).div_(-states.shape[-1])
        by_states = torch.mul(upstream[0], weight, out=product).mul_(inverse).addcmul_(states, moved)
        return by_states, by_weight, None


class Gate(torch.autograd.Function):
    """SiLU of the gate times what goes up: keeps these two, and computes the SiLU again."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Return the activated gate times what it lets through."""
        ctx.save_for_backward(gate, up)
        ctx.opened = None
        return gated(gate, up) if gate.is_cuda else silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the gate and of what it lets through."""
        gate, up, active = _open(ctx)
        ctx.opened = None
        if active is None:
            return gated_backward(upstream[0], gate, up)
        by_up = active.mul_(upstream[0])
        by_silu = upstream[0] * up
        return torch.ops.aten.silu_backward.grad_input(by_silu, gate, grad_input=by_silu), by_up


def _open(gate_node: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return gate, what goes up, and, but on a GPU, the SiLU of the gate, in the backward pass."""
    if gate_node.opened is None:
        # Once: where layers are computed again, saved tensors are handed out a single time.
        gate, up = gate_node.saved_tensors
        gate_node.opened = gate, up, None if gate.is_cuda else silu(gate)
    return gate_node.opened  # type: ignore[no-any-return]


@contextmanager
def multiplied_again(product: Tensor) -> Iterator[None]:
    """Let who saves this output of `Gate` while in this context get it by one more product in the backward pass.

    The projection down keeps it for its weight's gradient otherwise. Beyond weights and gradients, a step's peak is
    131 MB with this and 153 without (the miniature's layers, 1,024 tokens), 1,341 and 1,412 (30 layers of 576,
    512 tokens), for 3 to 8 % more CPU time. Not a function of its own over the whole network: the projection may be
    adapted, quantized, or add its gradients in place.
    """

    def pack(saved: Tensor) -> Tensor | torch.Size:
        is_product = saved.untyped_storage() is storage[0] and saved.numel() == size and saved.is_contiguous()
        return saved.shape if is_product else saved

    def unpack(kept: Tensor | torch.Size) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        gate, up, active = _open(node)
        return (gated(gate, up) if active is None else active * up).view(kept)

    # autograd keeps both functions, so that neither may hold the product for longer than this context. Gate and up come
    # from the node, since where layers are computed again for the backward pass, they are not there before.
    node, storage, size = product.grad_fn, [product.untyped_storage()], product.numel()
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack) if node else nullcontext():
            yield
    finally:
        storage.clear()


class Rotation(torch.autograd.Function):
    """Rotary embedding of [rows, length, heads, size] by cosines and sines [rows, length, size]: keeps these only."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return the states turned by the angles of their positions."""
        ctx.save_for_backward(cosine, sine)
        if states.is_cuda:
            return rotate_states(states, cosine, sine)
        # Head by head, as attention wants them; their gradients token by token, as products with weights want them.
        rows, length, heads, size = states.shape
        rotated = states.new_empty(rows, heads, length, size, dtype=torch.result_type(states, cosine)).transpose(1, 2)
        return _rotate(states, rotated, (cosine, -sine.chunk(2, -1)[0], sine.chunk(2, -1)[1]))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the states: the upstream one, turned back."""
        cosine, sine = ctx.saved_tensors
        if upstream[0].is_cuda:
            return rotate_gradient(upstream[0], cosine, sine), None, None
        gradient = torch.empty_like(upstream[0], memory_format=torch.contiguous_format)
        return _rotate(upstream[0], gradient, (cosine, sine.chunk(2, -1)[1], -sine.chunk(2, -1)[0])), None, None


def _rotate(states: Tensor, rotated: Tensor, factors: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Write the states by their cosines, and to each half the other half by its factor."""
    cosine, of_second, of_first = factors
    torch.mul(states, cosine.unsqueeze(2), out=rotated)
    (first, second), (to_first, to_second) = states.chunk(2, -1), rotated.chunk(2, -1)
    to_first.addcmul_(second, of_second.unsqueeze(2))
    to_second.addcmul_(first, of_first.unsqueeze(2))
    return rotated
