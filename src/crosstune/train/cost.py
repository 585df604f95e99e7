"""What a phase costs: its tokens, what packing saves of them, and the floating-point operations that are left."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from crosstune.models.experts import weights_at_work
from crosstune.models.heads import attention_width
from crosstune.models.kernels.skip_unused_positions import last_layer, unread_modules
from crosstune.models.prefixes import runs_with_shared_prefix
from crosstune.recipe import Phase
from crosstune.train.batches import Schedule, split_over_ranks
from crosstune.train.rows import Rows

# Steps whose batches are laid out to count what packing saves; the others are like them.
_SAMPLED_STEPS = 200


@dataclass(frozen=True)
class OfStart:
    """The tokens that also pass forward through the model as the phase began, as `Tokens` names them."""

    computed: int = 0
    attended: int = 0
    supervised: int = 0


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
        of_start: those that ``kl_to_start`` or a preference objective also needs of the phase's start.
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
    of_start: OfStart = OfStart()


def count_tokens(
    rows: Rows,
    schedule: Schedule,
    num_ranks: int,
    micro_batch_tokens: int,
    num_sampled: int = _SAMPLED_STEPS,
    kept_languages: Collection[str] = (),
) -> Tokens:
    """Count the tokens of a phase: exactly what is seen, and by a sample of its steps what is computed of it.

    The sample is drawn from the first epoch: the others have other orders of the same rows. Rows of ``kept_languages``
    also pass through the phase's start.
    """
    kept = np.array([language in kept_languages for language, _ in rows.corpora])
    of_start = np.zeros(3)
    last = min(schedule.num_steps, max(num_sampled, len(rows) // schedule.global_batch_size)) - 1
    real = computed = padded = attended = largest = most = most_micro_batches = 0
    for step in np.unique(np.linspace(0, last, num_sampled).round().astype(int)).tolist():
        places = schedule.rows_of_step(step)
        lengths = rows.lengths(places)
        real += int(lengths.sum())
        padded += len(places) * int(lengths.max())
        for rank in split_over_ranks(rows, places, num_ranks, micro_batch_tokens):
            most_micro_batches = max(most_micro_batches, len(rank))
            for micro_batch in filter(None, rank):
                numbers = rows.numbers(micro_batch)
                size, pairs = _computed(rows, numbers)
                computed, attended = computed + size, attended + pairs
                largest = max(largest, size)
                supervised = rows.facts.length[numbers] - rows.facts.num_prompt[numbers]
                most = max(most, int(supervised.sum()))
                if kept.any():
                    is_kept = kept[rows.facts.corpus[numbers]]
                    of_start += *_computed(rows, numbers[is_kept]), int(supervised[is_kept].sum())
    all_real = schedule.sum_of_seen(rows.lengths())
    scale = all_real / real
    return Tokens(
        num_rows=len(rows),
        num_steps=schedule.num_steps,
        real=all_real,
        supervised=schedule.sum_of_seen(rows.supervised()),
        computed=round(computed * scale),
        padded=round(padded * scale),
        attended=round(attended * scale),
        largest_micro_batch=largest,
        most_supervised=most,
        most_micro_batches=most_micro_batches,
        of_start=OfStart(*(of_start * scale).round().astype(int).tolist()),
    )


def with_start_measured(tokens: Tokens, rows: Rows) -> Tokens:
    """Return the tokens of a phase that measures its start on all rows once, before it begins, as DPO does."""
    share = int(rows.lengths().sum()) / tokens.real
    once = OfStart(*(round(share * part) for part in (tokens.computed, tokens.attended, tokens.supervised)))
    return replace(tokens, of_start=once)


def flops(model: PreTrainedModel, tokens: Tokens, phase: Phase) -> float:
    """Return the useful floating-point operations of a phase, forward and backward; recomputation not counted.

    Two per weight of a matrix and token forward, twice that backward (Kaplan et al. 2020, section 2.1,
    https://arxiv.org/abs/2001.08361); the head, and what of the last layer can be skipped elsewhere, at supervised
    positions only; of experts those that a token is sent to; attention by the pairs that attend; of state that goes on
    from token to token nothing. Weights that are not trained cost no gradient of their own. What the phase's start is
    asked costs a forward pass more.
    """
    config: Any = model.config.get_text_config(decoder=True)
    head: nn.Parameter = model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    at_work = weights_at_work(model)
    inside = sum(size for part, size in at_work.items() if getattr(part, "weight", None) is not head)
    attention = 2 * 2 * attention_width(config)
    passes = 3 if phase.moves_all_layers else 2
    layer = last_layer(model)
    unread = [part for module in unread_modules(layer) for part in module.modules()] if layer else []
    unread_weights = sum(at_work.get(part, 0.0) for part in unread)

    def forward(of: Tokens | OfStart) -> float:
        skipped = unread_weights * max(0, of.computed - of.supervised)
        return float(2 * (inside * of.computed - skipped) + attention * of.attended)

    trained = passes * forward(tokens) + 6.0 * head.numel() * tokens.supervised
    return trained + forward(tokens.of_start) + 2.0 * head.numel() * tokens.of_start.supervised


def _computed(rows: Rows, numbers: NDArray[np.int64]) -> tuple[int, int]:
    """Return the packed length of a micro-batch's segments, and the pairs of tokens that attend in it."""
    lengths = rows.facts.length[numbers].tolist()
    size = pairs = 0
    for shared, members in runs_with_shared_prefix(rows.tokens(numbers)):
        size += shared + sum(lengths[member] - shared for member in members)
        pairs += shared * (shared + 1) // 2
        for member in members:
            pairs += (lengths[member] * (lengths[member] + 1) - shared * (shared + 1)) // 2
    return size, pairs
