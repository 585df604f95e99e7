"""The loss of a micro-batch: summed over its supervised tokens, the head run at their positions only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from crosstune.packing import lay_out, logits_at
from crosstune.train.rows import Segment


@dataclass(frozen=True)
class SummedLoss:
    """The loss of a micro-batch, not yet divided by anything.

    Attributes:
        total: nats over all supervised tokens; carries the gradient.
        per_source: nats by source, [sources], detached.
    """

    total: Tensor
    per_source: Tensor


def summed_loss(
    model: nn.Module, segments: Sequence[Segment], sources: Sequence[str], device: torch.device
) -> SummedLoss:
    """Return the cross-entropy of the segments' supervised tokens, summed.

    The caller divides by the number of supervised tokens in the global batch, over all ranks and micro-batches, so that
    no split changes the gradient.
    """
    layout = lay_out([segment.tokens for segment in segments], share_prefixes=True, device=device)
    # The token at place i is predicted at the packed position of place i - 1.
    positions = np.concatenate(
        [places[segment.num_prompt - 1 : -1] for segment, places in zip(segments, layout.token_positions, strict=True)]
    )
    targets = [token for segment in segments for token in segment.tokens[segment.num_prompt :]]
    owners = np.repeat(
        [sources.index(segment.source) for segment in segments], [segment.num_supervised for segment in segments]
    )
    logits = logits_at(model, layout, torch.from_numpy(positions).to(device))
    losses = cross_entropy(logits.float(), torch.tensor(targets, device=device), reduction="none")
    per_source = torch.zeros(len(sources), dtype=torch.float64, device=device)
    per_source.index_add_(0, torch.from_numpy(owners).to(device), losses.detach().double())
    return SummedLoss(losses.sum(), per_source)
