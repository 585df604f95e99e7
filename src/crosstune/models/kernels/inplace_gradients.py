"""How a model is trained faster to the same result: what its layers skip, save, and add their gradients to."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import MethodType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from accelerate.utils.operations import ConvertOutputsToFp32
from torch import Tensor, nn
from torch.nn.functional import embedding, linear
from torch.nn.parallel import DistributedDataParallel

from crosstune.models.attention.flex import packed_attention
from crosstune.models.kernels import selftest
from crosstune.models.kernels.fp8 import multiply_in_fp8
from crosstune.models.kernels.low_memory_layers import lean_layers, prove_lean_layers, replaced_forwards
from crosstune.models.kernels.skip_unused_positions import last_layer, skip_unread_positions, skipping_is_proven
from crosstune.models.layers import inner_model
from crosstune.models.paths import choose_path, is_slow, packed_attentions
from crosstune.models.plain import set_attention
from crosstune.models.references import Trial, digit_of
from crosstune.recipe import Train


def choose_kernels(trained: nn.Module, device: torch.device, settings: Train) -> None:
    """Let a model, as it is trained, attend and multiply by what the device does fastest and the recipe asks for."""
    model = inner_model(trained)
    flex = settings.flex_attention if settings.kernels == "auto" else False
    set_attention(model, packed_attention(model, device, flex))
    if settings.kernels == "auto":
        # Asked before weights are split over ranks, and once more where they are computed with.
        prove_lean_layers(trained)
        layer = last_layer(trained)
        _ = layer and skipping_is_proven(layer)
    if settings.precision == "fp8":
        multiply_in_fp8(model)


def prove_training(trained: nn.Module, called: nn.Module, accelerator: Accelerator, settings: Train) -> None:
    """Test how a model can be trained, and let it: packed, by all fast paths, where that is exact.

    ``called`` is the model as accelerate prepared it.
    """
    keep_type_of_outputs(trained)

    def agree(is_exact: bool) -> bool:
        if accelerator.num_processes == 1:
            return is_exact
        votes = torch.tensor(int(is_exact), device=accelerator.device)
        return bool(accelerator.reduce(votes, reduction="sum") == accelerator.num_processes)

    device, model = accelerator.device, inner_model(trained)
    # Gradients are in the type of the weights.
    rounded_by = "bf16" if settings.weights == "bf16" else settings.precision
    types = {"float32": torch.float32, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
    whole = accelerator.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    trial = Trial(
        use="training",
        # The wrapper for several ranks adds gradients up at each backward pass, and wants one forward pass before it.
        called=called.module if isinstance(called, DistributedDataParallel) else called,
        attentions=packed_attentions(model, device, settings.flex_attention if settings.kernels == "auto" else False),
        kernels=lambda tested: fast_paths(tested, accelerator, settings),
        digit=digit_of(types[rounded_by], device),
        is_whole=whole,
        agree=agree,
    )
    choose_path(trained, trial)


def keep_type_of_outputs(prepared: Any) -> None:
    """Let a model that accelerate prepared for autocast hand on its logits as they were computed, in bfloat16.

    accelerate widens all of them to float32, and autograd narrows their gradient: two more matrices of all supervised
    tokens and pieces. The loss widens a few rows at a time.
    """
    widened = getattr(prepared.forward, "__wrapped__", None)
    if isinstance(widened, ConvertOutputsToFp32):
        forward = widened.model_forward
        prepared.forward = MethodType(forward, prepared) if isinstance(prepared.forward, MethodType) else forward


@contextmanager
def fast_paths(trained: nn.Module, accelerator: Accelerator, settings: Train) -> Iterator[None]:
    """Let a model compute by all fast paths that hold for it, while in this context; with `kernels: plain` by none.

    ``trained`` is the model as it is trained, adapters included, before it is wrapped for several ranks.
    """
    if settings.kernels == "plain" or is_slow(trained):
        yield
        return
    # Several ranks gather gradients where autograd adds them up, and must see them there.
    alone = accelerator.distributed_type == DistributedType.NO
    in_place = gradients_in_place(trained) if alone else nullcontext()
    with skip_unread_positions(trained), lean_layers(trained), in_place:
        yield


@contextmanager
def gradients_in_place(trained: nn.Module) -> Iterator[None]:
    """Let embeddings and linear layers add to the gradients of their weights in place, while in this context.

    autograd makes a gradient of its own for every micro-batch, as large as the weight, and adds it to the sum: for an
    embedding a matrix of zeros but for the rows of a few tokens.

    On a GPU embeddings stay autograd's: threads that add to rows in place do so in any order, and a resumed training
    would not end with the same weights.
    """
    device = next(trained.parameters()).device
    kinds = {kind: compute for kind, compute in _IN_PLACE.items() if _is_proven(kind, compute, device)}
    with replaced_forwards(
        {part: partial(kinds[type(part)], part) for part in trained.modules() if type(part) in kinds}
    ):
        yield


def _is_plain(weight: Tensor) -> bool:
    """Return whether nothing but autograd's sum waits for the weight's gradient: regularizers may hook it."""
    waiting = weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None)
    return torch.is_grad_enabled() and weight.requires_grad and weight.is_leaf and not waiting


def _linear(layer: nn.Linear, states: Tensor) -> Tensor:
    # Autocast multiplies by another matrix than the one that has the gradient; it reads rows as they are.
    if not _is_plain(layer.weight) or torch.is_autocast_enabled(layer.weight.device.type):
        return linear(states, layer.weight, layer.bias)
    output: Tensor = _Linear.apply(states, layer.weight)  # type: ignore[no-untyped-call]
    return output if layer.bias is None else output + layer.bias


def _embedding(table: nn.Embedding, tokens: Tensor) -> Tensor:
    if (
        table.weight.is_cuda
        or not _is_plain(table.weight)
        or table.max_norm is not None
        or table.scale_grad_by_freq
        or table.sparse
    ):
        return type(table).forward(table, tokens)
    return _Embedding.apply(table.weight, tokens, table.padding_idx)  # type: ignore[no-any-return,no-untyped-call]


class _Linear(torch.autograd.Function):
    """A product with a weight, [outputs, inputs], whose gradient is added in place."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(states)
        # Not saved: a layer that is computed again for the backward pass would find a copy, and add to the copy's.
        ctx.weight = weight
        return linear(states, weight)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, None]:
        (states,), weight = ctx.saved_tensors, ctx.weight
        before, after = states.flatten(0, -2), upstream[0].flatten(0, -2)
        if weight.grad is None:
            weight.grad = after.t() @ before
        else:
            weight.grad.addmm_(after.t(), before)
        return upstream[0] @ weight if ctx.needs_input_grad[0] else None, None


class _Embedding(torch.autograd.Function):
    """Rows of a table, whose gradients are added to the rows that were read."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.weight, ctx.padding = weight, padding
        return embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, None, None]:
        (tokens,), weight = ctx.saved_tensors, ctx.weight
        gradient = upstream[0]
        if ctx.padding is not None:
            gradient = gradient.masked_fill((tokens == ctx.padding).unsqueeze(-1), 0.0)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, tokens.flatten(), gradient.flatten(0, -2))
        return None, None, None


_IN_PLACE: dict[type[nn.Module], Any] = {nn.Linear: _linear, nn.Embedding: _embedding}


def _is_proven(kind: type[nn.Module], compute: Any, device: torch.device) -> bool:
    """Return whether torch's own module of this kind ends with the same gradients after two backward passes."""
    part: Any = kind(6, 5).to(device)
    tokens = torch.randint(6, (2, 8), generator=torch.Generator().manual_seed(0)).to(device)

    def gradients(forward: Any, states: Tensor) -> Tensor:
        part.weight.grad = None
        of_states = []
        for row in tokens:
            scaled = (states.detach().squeeze(0) * (1 + row).unsqueeze(-1)).requires_grad_()
            forward(row if kind is nn.Embedding else scaled).square().sum().backward()
            of_states += [] if scaled.grad is None else [scaled.grad.flatten()]
        # The states, so that there is something to differentiate.
        return torch.cat([states.flatten(), part.weight.grad.flatten(), *of_states])

    ours, theirs = (partial(gradients, partial(one, part)) for one in (compute, kind.forward))
    return selftest.holds(f"{kind.__name__} with gradients in place", (kind.forward, compute), part, 6, ours, theirs)
