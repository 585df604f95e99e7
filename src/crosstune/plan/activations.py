"""How much a forward pass keeps for the backward one: counted, not estimated.

The model runs on fake tensors, which have shapes and no content, and every tensor that autograd saves is added up. So
the count holds for any architecture that transformers knows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface
from transformers.integrations import moe

from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.layers import Kind, kinds_of_layers, layers_of

COUNTED_ATTENTION = "crosstune_counted"
Known = dict[tuple[int, str, bool, bool], int]
"""Bytes that a forward pass saves, by its tokens, its precision, whether layers are computed again, whose code runs."""

# State-space layers go from token to token in Python: thousands take many minutes, and what each saves is the same.
_FEW_TOKENS = (32, 64)
# Calls of torch for each module of a model: some ten, whatever the number of tokens, unless it goes one by one.
MOST_CALLS = 100


class _GoesTokenByTokenError(Exception):
    """A pass calls torch for every token anew."""


class _FewCalls(TorchFunctionMode):
    """Stops a pass that goes from token to token."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(self, called: Any, types: Any, given: Any = (), options: Any = None) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _GoesTokenByTokenError
        return called(*given, **(options or {}))


def saved_bytes(
    model: nn.Module,
    num_tokens: int,
    precision: str,
    known: Known | None = None,
    recomputes: bool = False,
    lean: bool = True,
) -> int:
    """Return the bytes that a forward pass over so many tokens saves for the backward one, weights not counted.

    ``recomputes`` says whether the model computes its layers again, ``lean`` whether by our kernels, which save less
    than the library's code, ``known`` what was counted before.
    """
    known = {} if known is None else known

    def of(tokens: int) -> int:
        if (tokens, precision, recomputes, lean) not in known:
            known[tokens, precision, recomputes, lean] = _saved(model, tokens, precision, lean)
        return known[tokens, precision, recomputes, lean]

    # Autocast saves its copies of the weights, too: what a pass over one token saves is those, near enough.
    one = of(1)
    try:
        return of(num_tokens) - one
    except _GoesTokenByTokenError:
        few, more = _FEW_TOKENS
        saved = of(few) - one + (of(more) - of(few)) * (num_tokens - few) // (more - few)
        known[num_tokens, precision, recomputes, lean] = one + saved
        return saved


def _saved(model: nn.Module, num_tokens: int, precision: str, lean: bool) -> int:
    kinds = kinds_of_layers(model)
    if 2 * len(set(kinds)) <= len(kinds):
        # An architecture may ask for its layers by their numbers: then all of them are counted.
        try:
            return _saved_by_kinds(model, kinds, num_tokens, precision, lean)
        except _GoesTokenByTokenError:
            raise
        except Exception:
            return saved_by_all(model, num_tokens, precision, lean)
    return saved_by_all(model, num_tokens, precision, lean)


def _saved_by_kinds(model: nn.Module, kinds: Sequence[Kind], num_tokens: int, precision: str, lean: bool) -> int:
    """Return the bytes of a pass, from passes through the first layers, up to one of each kind behind the first.

    A layer saves as much as another of its kind, so that 80 layers take as long to count as two.
    """
    with _first_layers(model, 1):
        total = saved_by_all(model, num_tokens, precision, lean)
    of_kind: dict[Kind, int] = {}
    for index, kind in enumerate(kinds[1:], start=1):
        if kind not in of_kind:
            with _first_layers(model, index + 1):
                of_kind[kind] = saved_by_all(model, num_tokens, precision, lean) - total
        total += of_kind[kind]
    return total


@contextmanager
def _first_layers(model: nn.Module, number: int) -> Iterator[None]:
    """Let a model have its first layers only, while in this context."""
    layers = layers_of(model)
    whole = layers._modules
    layers._modules = dict(list(whole.items())[:number])
    try:
        yield
    finally:
        layers._modules = whole


def saved_by_all(model: nn.Module, num_tokens: int, precision: str, lean: bool = True) -> int:
    """Return the bytes that the backward pass of a whole model keeps, each tensor once."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        # Kept alive while counting, so that no storage takes the place of another.
        if tensor.untyped_storage()._cdata not in own:
            saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    few = num_tokens <= _FEW_TOKENS[-1]
    with (
        nullcontext() if few else _FewCalls(MOST_CALLS * sum(1 for _ in model.modules())),
        lean_layers(model, ask=False) if lean else nullcontext(),
        _counted_experts(),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision != "float32"),
    ):
        ids = torch.zeros(1, num_tokens, dtype=torch.long)
        model(input_ids=ids, position_ids=ids, use_cache=False, logits_to_keep=1)
        return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


@contextmanager
def _counted_experts() -> Iterator[None]:
    """Let experts multiply by transformers' own loop, which saves what torch's kernel does.

    That one, asked for shapes alone, takes nothing but bf16, though it multiplies float32.
    """
    chooser: Any = moe
    before = chooser._can_use_grouped_mm
    chooser._can_use_grouped_mm = lambda *_: False
    try:
        yield
    finally:
        chooser._can_use_grouped_mm = before


class _CountedAttention(torch.autograd.Function):
    """Saves what fused attention saves: queries, keys and values of all heads, and the output; never run backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # Put together as whole rows afterwards, in a copy.
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        ctx.save_for_backward(query, key, value, output)
        return output


def _counted_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any
) -> tuple[Tensor, None]:
    # Packed attention hands every head its own copy of grouped keys and values.
    copies = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(copies, dim=1) for states in (key, value))
    # The gathered stretches are copies of their own, in the precision of the kernel.
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else query.dtype
    output: Tensor = _CountedAttention.apply(  # type: ignore[no-untyped-call]
        *(states.clone().to(dtype) for states in (query, key, value))
    )
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(COUNTED_ATTENTION, _counted_attention)
