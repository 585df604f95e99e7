"""A model as plain transformers runs it: its own attention, rows one by one or right-padded. The reference, and slower.

Right padding is exact for what looks back only: nothing of a row stands behind its padding.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from crosstune.models.kernels.low_memory_layers import own_forwards
from crosstune.models.layers import inner_model

Way = Literal["packed", "right-padded", "one by one"]
_OURS = "crosstune_"
_OWN = "_crosstune_own_attention"
MIN_SHARE = 0.75
"""Rows of a padded batch are no shorter than this share of its longest."""
_Rows = TypeVar("_Rows")


def set_attention(model: PreTrainedModel, name: str) -> None:
    """Let a model attend by a function of ours, and keep in mind which is its own."""
    own_attention(model)
    model.set_attn_implementation(name)


def own_attention(model: PreTrainedModel) -> str:
    """Return the attention that a model was loaded with, whatever it attends by now."""
    if not hasattr(model, _OWN):
        found = str(model.config._attn_implementation)
        able = "sdpa" if getattr(model, "_supports_sdpa", False) else "eager"
        setattr(model, _OWN, able if found.startswith(_OURS) else found)
    return str(getattr(model, _OWN))


@contextmanager
def as_plain(trained: nn.Module) -> Iterator[None]:
    """Let a model compute as plain transformers does, while in this context."""
    model = inner_model(trained)
    before = str(model.config._attn_implementation)
    own = own_attention(model)
    if before != own:
        model.set_attn_implementation(own)
    try:
        with own_forwards(trained):
            yield
    finally:
        if before != own:
            model.set_attn_implementation(before)


@contextmanager
def settings_forgotten(model: Any) -> Iterator[None]:
    """Leave out what a model's folder sets for generation, while in this context: penalties, forced tokens, draws.

    Settings handed to `generate` leave out nothing: it takes those that they do not hold from the model's own.
    """
    settings, model.generation_config = model.generation_config, GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        model.generation_config = settings


def plain_logits(
    trained: nn.Module,
    rows: Sequence[Sequence[int]],
    read: Sequence[np.ndarray],
    way: Way,
    least_share: float = MIN_SHARE,
) -> Tensor:
    """Return the logits at some places of each row, [places of all rows, pieces], as plain transformers computes them.

    ``read`` are the places in each row, none where nothing is read of it. ``trained`` is the model as it is trained.
    Rows of a padded batch have at least ``least_share`` of its longest one's tokens.
    """
    device = inner_model(trained).device
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    with as_plain(trained):
        for members in _batches(rows, way, least_share):
            longest = max(len(rows[member]) for member in members)
            tokens = np.zeros((len(members), longest), np.int64)
            for place, member in enumerate(members):
                tokens[place, : len(rows[member])] = rows[member]
            first = min((int(read[member].min()) for member in members if len(read[member])), default=longest - 1)
            kept = {"logits_to_keep": longest - first} if _keeps_logits(trained) else {}
            with longest_row_forgotten(trained):
                output = trained(input_ids=torch.from_numpy(tokens).to(device), use_cache=False, **kept)
            skipped = longest - output.logits.shape[1]
            for place, member in enumerate(members):
                found[member] = output.logits[place, torch.from_numpy(read[member] - skipped).to(device)]
    return torch.cat(found)


@contextmanager
def longest_row_forgotten(trained: nn.Module) -> Iterator[None]:
    """Let a model read as one that has read nothing yet, before this context and after it.

    Where positions are turned by the longest row that was seen (dynamic NTK), a model keeps that length: the next row
    would be read otherwise than alone.
    """
    _forget_longest_row(trained)
    try:
        yield
    finally:
        _forget_longest_row(trained)


def _forget_longest_row(trained: nn.Module) -> None:
    for part in trained.modules():
        if "original_max_seq_len" not in vars(part):
            continue
        for name in [name for name in vars(part) if name.endswith("max_seq_len_cached")]:
            before = name.removesuffix("max_seq_len_cached")
            if vars(part)[name] != part.original_max_seq_len:
                setattr(part, name, part.original_max_seq_len)
                now: Tensor = getattr(part, f"{before}inv_freq")
                part.register_buffer(
                    f"{before}inv_freq", getattr(part, f"{before}original_inv_freq").to(now.device), persistent=False
                )


def num_passes(rows: Sequence[Sequence[int]], way: Way) -> int:
    """Return how many passes through a model read some rows."""
    return 1 if way == "packed" else sum(1 for _ in _batches(rows, way, MIN_SHARE))


def _keeps_logits(trained: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(type(inner_model(trained)).forward).parameters


def _batches(rows: Sequence[Sequence[int]], way: Way, least_share: float) -> Iterator[list[int]]:
    if way == "one by one":
        yield from ([index] for index in range(len(rows)))
        return
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    batch: list[int] = []
    for index in order:
        if batch and len(rows[index]) < least_share * len(rows[batch[0]]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def changes_with_length(model: PreTrainedModel) -> int | None:
    """Return from how many tokens on a row's positions are turned otherwise, where they are: the whole batch's are."""
    config: Any = model.config.get_text_config(decoder=True)
    scaling = getattr(config, "rope_parameters", None) or {}
    kinds = scaling.values() if all(isinstance(part, dict) for part in scaling.values()) else [scaling]
    limits = [
        part.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
        for part in kinds
        if part and part.get("rope_type") in ("dynamic", "longrope")
    ]
    positions = getattr(config, "max_position_embeddings", None)
    found = [limit or positions for limit in limits]
    return min((int(limit) for limit in found if limit), default=None)
