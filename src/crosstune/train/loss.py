"""The loss of a micro-batch: summed over its supervised tokens, the head run at their positions only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crosstune.models.paths import read_rows
from crosstune.train.rows import Segment

# Logits that are turned into float32 at a time; a micro-batch of 4,096 rows of 46,336 pieces would be 760 MB. On a CPU
# a chunk should stay in its cache: 428 such rows take 16 ms in chunks of 16 and 18 in chunks of 4. On a GPU it should
# keep the device busy: 1,024 rows are 190 MB.
CHUNK_LOGITS = {"cpu": 16 * 46_336, "cuda": 1024 * 46_336}
# Of smaller numbers float32 keeps fewer digits.
_SAFE_PROBABILITY = 1e-30
# How rows are laid out for a GPU. Products in eight bits need sizes that are multiples of 16. A block of keys that all
# others attend to is the work of one part of the GPU, which the rest waits for: the backward pass of 9,200 positions of
# LLaMA-2-7B's heads took 1.99 ms on an H200 under one instruction, 1.41 under several copies of it.
ON_GPU = {"multiple_of": 16, "max_continuing": 1024}

Penalty = Callable[[Sequence[Segment], np.ndarray, Tensor], Tensor | None]
"""What is added to a loss: from the segments, the segment of each row of logits, and the logits; in nats, summed."""


@dataclass(frozen=True)
class SummedLoss:
    """The loss of a micro-batch.

    Attributes:
        total: nats over all supervised tokens, and what a penalty adds, times the weight; carries the gradient.
        per_segment: nats by segment, [segments], detached and not weighted.
        sums: what else is measured, over all rows, detached and not weighted.
    """

    total: Tensor
    per_segment: Tensor
    sums: Mapping[str, Tensor] = field(default_factory=dict)


def summed_loss(
    model: nn.Module,
    segments: Sequence[Segment],
    device: torch.device,
    weight: float = 1.0,
    penalty: Penalty | None = None,
) -> SummedLoss:
    """Return the cross-entropy of the segments' supervised tokens, summed and weighted; ``penalty`` may add to it.

    The caller's weight is one by the number of supervised tokens in the global batch, over all ranks and micro-batches,
    so that no split changes the gradient.
    """
    logits = predicted_logits(model, segments, device)
    owners = owners_of(segments)
    # Before the cross-entropy, which overwrites the logits.
    added = penalty(segments, owners, logits) if penalty else None
    total, losses = cross_entropy(logits, targets_of(segments, device), weight)
    per_segment = torch.zeros(len(segments), device=device)
    per_segment.index_add_(0, torch.from_numpy(owners).to(device), losses)
    return SummedLoss(total if added is None else total + weight * added, per_segment)


def predicted_logits(model: nn.Module, segments: Sequence[Segment], device: torch.device) -> Tensor:
    """Return the logits that predict the segments' supervised tokens, [supervised tokens, pieces]."""
    rows = [segment.tokens for segment in segments]
    # The token at place i is predicted at place i - 1.
    read = [np.arange(segment.num_prompt - 1, len(segment.tokens) - 1) for segment in segments]
    return read_rows(model, rows, read, layout_options(device))


def targets_of(segments: Sequence[Segment], device: torch.device) -> Tensor:
    """Return the segments' supervised tokens, [supervised tokens]."""
    return torch.tensor(
        [token for segment in segments for token in segment.tokens[segment.num_prompt :]], device=device
    )


def owners_of(segments: Sequence[Segment]) -> np.ndarray:
    """Return the place of the segment that each supervised token belongs to, [supervised tokens]."""
    return np.repeat(np.arange(len(segments)), [segment.num_supervised for segment in segments])


def layout_options(device: torch.device) -> dict[str, int]:
    """Return how rows are best laid out for a device."""
    return ON_GPU if device.type == "cuda" else {}


def row_chunks(logits: Tensor) -> Iterator[slice]:
    """Yield slices of a few rows each: as many as the device best works on at a time."""
    num_rows = max(1, CHUNK_LOGITS.get(logits.device.type, CHUNK_LOGITS["cpu"]) // logits.shape[1])
    for first in range(0, len(logits), num_rows):
        yield slice(first, first + num_rows)


def cross_entropy(logits: Tensor, targets: Tensor, weight: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of the rows' cross-entropy, with gradient, and each row's in nats, [rows], without.

    Overwrites the logits: their gradient takes their place, a few rows at a time. torch's own keeps the logits of all
    rows in float32 and their softmax beside them. Logits: [rows, pieces]; targets: [rows]; losses are in float32.
    """
    total, losses = _ChunkedCrossEntropy.apply(logits, targets, weight)  # type: ignore[no-untyped-call]
    return total, losses


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return each row's cross-entropy in nats, [rows], with gradient: what is made of them is not known before.

    Overwrites the logits, as `cross_entropy` does.
    """
    losses: Tensor = _ChunkedTokenLosses.apply(logits, targets)  # type: ignore[no-untyped-call]
    return losses


class _ChunkedTokenLosses(torch.autograd.Function):
    """Computes the gradient by the logits together with the losses; each row is scaled where its own is known."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        losses, ctx.gradient = _losses_and_gradient(logits, targets, 1.0, ctx.needs_input_grad[0])
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        gradient: Tensor = ctx.gradient
        return gradient.mul_(upstream[0][:, None].to(gradient.dtype)), None


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradient together with the loss, while a chunk of the softmax is in the cache."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        losses, ctx.gradient = _losses_and_gradient(logits, targets, weight, ctx.needs_input_grad[0])
        ctx.mark_non_differentiable(losses)
        return losses.sum() * weight, losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        gradient: Tensor = ctx.gradient
        # Mostly 1, and the matrix is large; but a GPU would have to be waited for to know.
        if gradient.device.type != "cpu" or upstream[0] != 1:
            gradient.mul_(upstream[0].to(gradient.dtype))
        return gradient, None, None


def _losses_and_gradient(logits: Tensor, targets: Tensor, weight: float, needs_gradient: bool) -> tuple[Tensor, Tensor]:
    """Return each row's cross-entropy, [rows], and in the place of the logits the gradient of their weighted sum."""
    losses = torch.empty(len(targets), device=logits.device)
    # Shares memory and version with the logits: autograd notices if something else still needs them.
    gradient = logits.detach()
    for rows in row_chunks(logits):
        wanted = targets[rows, None]
        chunk = logits[rows].float()
        probabilities = chunk.softmax(dim=1)
        of_target = probabilities.gather(1, wanted)
        losses[rows] = _negative_log(of_target, probabilities, chunk, wanted).squeeze(1)
        if needs_gradient:
            # The gradient by the logits: their softmax, less one at the target, subtracted before it is rounded.
            probabilities.scatter_(1, wanted, of_target - 1)
            torch.mul(probabilities, weight, out=gradient[rows])
    return losses, gradient


def _negative_log(of_target: Tensor, probabilities: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the negative log of the targets' probabilities, [rows, 1], where float32 has no such small number, too."""
    if of_target.device.type == "cpu" and (of_target > _SAFE_PROBABILITY).all():  # a GPU would be waited for
        return of_target.log().neg_()
    # The largest logit less the log of its probability is the log of the sum, and that probability is never 0.
    log_sum = logits.amax(1, keepdim=True) - probabilities.amax(1, keepdim=True).log()
    return log_sum - logits.gather(1, targets)
