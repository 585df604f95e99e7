"""What a phase costs: its tokens, what packing saves of them, and the floating-point operations that are left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from crosstune.models.kernels.skip_unused_positions import last_layer, unread_modules
from crosstune.models.prefixes import runs_with_shared_prefix
from crosstune.recipe import Phase
from crosstune.train.batches import Schedule, split_over_ranks
from crosstune.train.rows import Row, Segment

# Steps whose batches are laid out to count what packing saves; the others are like them.
_SAMPLED_STEPS = 200


@dataclass(frozen=True)
class Tokens:
    """The tokens of a phase, over all of its steps.

    Attributes:
        real: tokens of all rows seen.
        supervised: those of them that the loss counts.
        computed: those that a forward pass computes, shared prefixes once (from a sample of the steps).
        padded: what the same rows would be, each global batch padded to its longest row (from the same sample).
        attended: pairs of a token and a token that it attends to (from the same sample).
        largest_micro_batch: computed tokens of the largest micro-batch in the sample.
        most_supervised: supervised tokens of the micro-batch with most of them.
        most_micro_batches: of a rank in a step, in the sample.
    """

    num_rows: int
    num_steps: int
    real: int
    supervised: int
    computed: int
    padded: int
    attended: int
    largest_micro_batch: int
    most_supervised: int
    most_micro_batches: int


def count_tokens(
    rows: Sequence[Row],
    schedule: Schedule,
    num_ranks: int,
    micro_batch_tokens: int,
    num_sampled: int = _SAMPLED_STEPS,
) -> Tokens:
    """Count the tokens of a phase: exactly what is seen, and by a sample of its steps what is computed of it."""
    seen = np.bincount(
        [index for step in range(schedule.num_steps) for index in schedule.rows_of_step(step)], minlength=len(rows)
    )
    lengths = np.array([sum(len(segment.tokens) for segment in row) for row in rows])
    supervised = np.array([sum(segment.num_supervised for segment in row) for row in rows])
    sampled = np.unique(np.linspace(0, schedule.num_steps - 1, num_sampled).round().astype(int))
    real = computed = padded = attended = largest = most = most_micro_batches = 0
    for step in sampled:
        batch = [rows[index] for index in schedule.rows_of_step(int(step))]
        real += sum(len(segment.tokens) for row in batch for segment in row)
        padded += len(batch) * max(sum(len(segment.tokens) for segment in row) for row in batch)
        for rank in split_over_ranks(batch, num_ranks, micro_batch_tokens):
            most_micro_batches = max(most_micro_batches, len(rank))
            for micro_batch in filter(None, rank):
                size, pairs = _computed(micro_batch)
                computed, attended = computed + size, attended + pairs
                largest = max(largest, size)
                most = max(most, sum(segment.num_supervised for segment in micro_batch))
    all_real = int((seen * lengths).sum())
    scale = all_real / real
    return Tokens(
        num_rows=len(rows),
        num_steps=schedule.num_steps,
        real=all_real,
        supervised=int((seen * supervised).sum()),
        computed=round(computed * scale),
        padded=round(padded * scale),
        attended=round(attended * scale),
        largest_micro_batch=largest,
        most_supervised=most,
        most_micro_batches=most_micro_batches,
    )


def flops(model: PreTrainedModel, tokens: Tokens, phase: Phase) -> float:
    """Return the useful floating-point operations of a phase, forward and backward; recomputation not counted.

    Two per weight of a matrix and token forward, twice that backward (Kaplan et al. 2020, section 2.1,
    https://arxiv.org/abs/2001.08361); the head, and what of the last layer can be skipped elsewhere, at supervised
    positions only; attention by the pairs that attend. Weights that are not trained cost no gradient of their own.
    """
    config: Any = model.config.get_text_config(decoder=True)
    head: nn.Parameter = model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    inside = _matrix_weights(part for part in model.modules() if getattr(part, "weight", None) is not head)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 2 * 2 * config.num_hidden_layers * config.num_attention_heads * head_size
    passes = 3 if {"all", "layers"} & set(phase.trains) and phase.method == "full" else 2
    layer = last_layer(model)
    unread = [part for module in unread_modules(layer) for part in module.modules()] if layer else []
    skipped = _matrix_weights(unread) * max(0, tokens.computed - tokens.supervised)
    layers = float(2 * (inside * tokens.computed - skipped) + attention * tokens.attended)
    return passes * layers + 6.0 * head.numel() * tokens.supervised


def _matrix_weights(modules: Iterable[nn.Module]) -> int:
    return sum(part.weight.numel() for part in modules if isinstance(part, nn.Linear))


def _computed(segments: Sequence[Segment]) -> tuple[int, int]:
    """Return the packed length of a micro-batch, and the pairs of tokens that attend in it."""
    size = pairs = 0
    for shared, members in runs_with_shared_prefix([segment.tokens for segment in segments]):
        size += shared + sum(len(segments[member].tokens) - shared for member in members)
        pairs += shared * (shared + 1) // 2
        for member in members:
            length = len(segments[member].tokens)
            pairs += (length * (length + 1) - shared * (shared + 1)) // 2
    return size, pairs
