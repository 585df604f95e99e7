"""A step's numbers on their way from the device: it computes the next step while they are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from crosstune.errors import CrosstuneError
from crosstune.models.float64 import in_float64
from crosstune.train.batches import Batch
from crosstune.train.error_messages import not_finite
from crosstune.train.metrics import StepResult
from crosstune.train.rows import Segment


@dataclass(frozen=True)
class StepInFlight:
    """A step that was handed to the device, which may still be computing it.

    Attributes:
        batch: what it learns from.
        losses: nats of each of this rank's segments of it, on the device.
        numbers: on the host, once ``copied``: nats by language and source over all ranks, the ``measured`` sums, the
            norm of the gradient, and how many ranks were asked to stop.
        copied: what to wait for before they are read; None where they are there.
        is_asked_to_stop: whether this rank was.
        measured: names of what was measured besides.
    """

    batch: Batch
    losses: Tensor
    numbers: Tensor
    copied: torch.cuda.Event | None
    learning_rate: float
    is_asked_to_stop: bool = False
    measured: Sequence[str] = ()

    def result(self, title: str) -> StepResult:
        """Wait for the numbers and return them.

        Raises:
            CrosstuneError: when a loss or the gradient is not finite.
        """
        if self.copied is not None:
            self.copied.synchronize()
        *sums, grad_norm, num_stopping = self.numbers.tolist()
        if not np.isfinite([*sums, grad_norm]).all():
            pairs = zip(self.batch.own_origins(), self.losses.tolist(), strict=True)
            bad = [origin for origin, value in pairs if not np.isfinite(value)]
            where = f"{title}: step {self.batch.step + 1}"
            raise CrosstuneError(not_finite(where, gather_object(bad), self.batch.origins()))
        corpora = self.batch.rows.corpora
        by_corpus = dict(zip(corpora, sums, strict=False))
        means = [value / len(self.batch.indices) for value in sums[len(corpora) :]]
        measured = dict(zip(self.measured, means, strict=True))
        return StepResult(by_corpus, grad_norm, self.learning_rate, num_stopping > 0, measured)


@dataclass(frozen=True)
class RankStep:
    """What one rank knows of a step that it computed.

    Attributes:
        seen: its segments of the batch.
        losses: nats of each of them, on the device.
        grad_norm: before clipping, on the device.
        is_asked_to_stop: whether this rank was; all ranks stop after the same step.
        sums: what else was measured, over the rows of each micro-batch, by name.
    """

    seen: Sequence[Segment]
    losses: Tensor
    grad_norm: Tensor
    learning_rate: float
    is_asked_to_stop: bool = False
    sums: Sequence[tuple[str, Tensor]] = ()


def in_flight(accelerator: Accelerator, batch: Batch, step: RankStep) -> StepInFlight:
    """Sum a step's losses by language and source over all ranks, and send them to the host."""
    losses = in_float64(step.losses)
    device = losses.device
    corpora = {corpus: index for index, corpus in enumerate(batch.rows.corpora)}
    corpus_indices = torch.tensor([corpora[segment.corpus] for segment in step.seen], dtype=torch.long, device=device)
    measured = list(dict.fromkeys(name for name, _ in step.sums))
    sums = losses.new_zeros(len(corpora) + len(measured) + 1)
    sums.index_add_(0, corpus_indices, losses)
    for name, value in step.sums:
        sums[len(corpora) + measured.index(name)] += value
    sums[-1] = float(step.is_asked_to_stop)
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums, reduction="sum")
    numbers = torch.cat([sums[:-1], in_float64(step.grad_norm).to(device).reshape(1), sums[-1:]])
    copied: torch.cuda.Event | None = None
    if device.type == "cuda":
        # Into pinned memory: the host goes on while it is copied.
        numbers = numbers.to("cpu", non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
    stop = step.is_asked_to_stop
    return StepInFlight(batch, step.losses, numbers, copied, step.learning_rate, stop, measured)
