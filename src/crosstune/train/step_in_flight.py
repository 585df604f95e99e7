"""A step's numbers on their way from the device: it computes the next step while they are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from crosstune.errors import CrosstuneError
from crosstune.train.batches import Batch
from crosstune.train.error_messages import not_finite
from crosstune.train.metrics import StepResult
from crosstune.train.rows import Segment


@dataclass(frozen=True)
class StepInFlight:
    """A step that was handed to the device, which may still be computing it.

    Attributes:
        batch: what it learns from.
        seen: this rank's segments of it.
        losses: nats of each of them, on the device.
        numbers: on the host, once ``copied``: nats by language and source over all ranks, the norm of the gradient, and
            how many ranks were asked to stop.
        copied: what to wait for before they are read; None where they are there.
    """

    batch: Batch
    seen: Sequence[Segment]
    losses: Tensor
    numbers: Tensor
    copied: torch.cuda.Event | None
    learning_rate: float

    def result(self, title: str) -> StepResult:
        """Wait for the numbers and return them.

        Raises:
            CrosstuneError: when a loss or the gradient is not finite.
        """
        if self.copied is not None:
            self.copied.synchronize()
        *nats, grad_norm, num_stopping = self.numbers.tolist()
        if not np.isfinite([*nats, grad_norm]).all():
            pairs = zip(self.seen, self.losses.tolist(), strict=True)
            bad = [segment.origin for segment, value in pairs if not np.isfinite(value)]
            where = f"{title}: step {self.batch.step + 1}"
            raise CrosstuneError(not_finite(where, gather_object(bad), self.batch.origins()))
        by_corpus = dict(zip(self.batch.rows.corpora, nats, strict=True))
        return StepResult(by_corpus, grad_norm, self.learning_rate, num_stopping > 0)


def in_flight(
    accelerator: Accelerator,
    batch: Batch,
    losses: tuple[Sequence[Segment], Tensor],
    grad_norm: Tensor,
    rate_and_stop: tuple[float, bool],
) -> StepInFlight:
    """Sum a step's losses by language and source over all ranks, and send them to the host.

    Losses: this rank's segments and their nats. Rate and stop: the learning rate, and whether this rank was asked to
    stop: all of them have to behind the same step.
    """
    seen, of_seen = losses
    # Sums are in float64, which not every device has.
    device = of_seen.device if of_seen.device.type == "cuda" else torch.device("cpu")
    corpora = {corpus: place for place, corpus in enumerate(batch.rows.corpora)}
    places = torch.tensor([corpora[segment.corpus] for segment in seen], dtype=torch.long, device=device)
    sums = torch.zeros(len(corpora) + 1, dtype=torch.float64, device=device)
    sums.index_add_(0, places, of_seen.to(device, torch.float64))
    sums[-1] = float(rate_and_stop[1])
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums, reduction="sum")
    numbers = torch.cat([sums[:-1], grad_norm.to(device, torch.float64).reshape(1), sums[-1:]])
    copied: torch.cuda.Event | None = None
    if device.type == "cuda":
        # Into pinned memory: the host goes on while it is copied.
        numbers = numbers.to("cpu", non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
    return StepInFlight(batch, seen, of_seen, numbers, copied, rate_and_stop[0])
