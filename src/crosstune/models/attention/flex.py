"""Packed attention as one FlexAttention kernel for GPUs, in the place of one kernel per group of stretches.

The layout is `packing.Layout`; only how attention is computed differs. FlexAttention skips blocks of 128 x 128
positions in which nobody attends, and needs neither gathered copies nor padding (https://arxiv.org/abs/2412.05496).
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.attention.asked import EVERYTHING, Span, asked_of, refuse_mask
from crosstune.models.heads import head_sizes
from crosstune.models.kernels.fused_chains import can_compile
from crosstune.models.packing import ATTENTION, Layout

FLEX_ATTENTION = "crosstune_flex"
_SMALLEST_HEAD = 16


def packed_attention(model: PreTrainedModel, device: torch.device, wants_flex: bool | None = None) -> str:
    """Return the name of the attention by which a model computes packed rows: the fastest that works, or as wanted.

    ``device`` is where it will compute, wherever it is now.

    Raises:
        BadInputError: when FlexAttention is wanted without a CUDA device; on CPUs it has no backward pass.
    """
    if wants_flex and device.type != "cuda":
        raise BadInputError(
            f"train.flex_attention=true needs a CUDA device, and this is {device.type}; set it to false (the "
            f"result is the same)"
        )
    fits = device.type == "cuda" and can_compile() and _fits(model)
    return FLEX_ATTENTION if wants_flex or (fits and wants_flex is None) else ATTENTION


def _fits(model: PreTrainedModel) -> bool:
    config: Any = model.config.get_text_config(decoder=True)
    return min(head_sizes(config), default=0) >= _SMALLEST_HEAD and not getattr(config, "attention_dropout", 0.0)


def attends(layout: Layout, query: Tensor, key: Tensor, span: Span = EVERYTHING) -> Tensor:
    """Return whether packed positions attend to others: to what stands before them in their stretch or its prefix."""
    own = layout.stretch[key] == layout.stretch[query]
    prefix = layout.stretch[key] == layout.continued[query]
    before = (key <= query) & (own | prefix)
    if span == EVERYTHING:
        return before
    places = layout.position_ids[0]
    return before & span.sees(places[query], places[key])  # type: ignore[no-any-return]


def block_mask(layout: Layout, span: Span = EVERYTHING) -> BlockMask:
    """Return the blocks of positions that attend, for all heads alike."""

    def mask(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return attends(layout, query, key, span)

    length = layout.num_tokens
    return create_block_mask(mask, None, None, length, length, device=layout.input_ids.device)


# Of one layout: all layers of a forward pass, and of its recomputation in the backward one, ask for the same.
_newest: list[tuple[Layout, dict[Span, BlockMask]]] = []


def _block_mask_of(layout: Layout, span: Span) -> BlockMask:
    if not _newest or _newest[0][0] is not layout:
        _newest[:] = [(layout, {})]
    masks = _newest[0][1]
    hiding = span if span == EVERYTHING else span.within(layout.longest_path)
    if hiding not in masks:
        masks[hiding] = block_mask(layout, hiding)
    return masks[hiding]


@cache
def _compiled() -> Any:
    # Dynamic: every micro-batch has a length of its own.
    return torch.compile(flex_attention, dynamic=True)


def _flex_attention(  # noqa: PLR0913 - the signature is transformers'
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed_layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend within each path of the layout. Query, key, value: [1, heads, packed length, head size]."""
    if packed_layout is None:
        raise ValueError(f"attention {FLEX_ATTENTION!r} was called without a layout")
    if dropout:
        raise ValueError(
            f"{type(module).__name__} drops attention weights (attention_dropout={dropout}), which FlexAttention does "
            f"not support: set train.flex_attention=false"
        )
    refuse_mask(module, attention_mask)
    asked = asked_of(module, options)
    if not asked.is_plain:
        raise ValueError(f"{type(module).__name__} caps its scores or has sinks, which FlexAttention is not used for")
    # Autocast leaves queries and keys in float32 where they were rotated.
    query, key = query.to(value.dtype), key.to(value.dtype)
    # Compiled, it is one kernel; on a CPU it only shows that the mask is right, and has no backward pass.
    attend = _compiled() if query.device.type == "cuda" else flex_attention
    grouped = key.shape[1] != query.shape[1]
    mask = _block_mask_of(packed_layout, asked.span)
    output = attend(query, key, value, block_mask=mask, scale=scaling, enable_gqa=grouped)
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(FLEX_ATTENTION, _flex_attention)
