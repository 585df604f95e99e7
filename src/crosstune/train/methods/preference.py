"""Learning from pairs: the loss of a micro-batch of rows that hold a chosen and a rejected answer to one prompt.

Rows are packed as all others: the prompt that both answers share is computed once. The loss of a pair is that of the
objective, plus the chosen answer's cross-entropy per token where it has a weight.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from crosstune.models.paths import way_of
from crosstune.recipe import Preference
from crosstune.train.batches import split_over_ranks
from crosstune.train.loss import SummedLoss, owners_of, predicted_logits, targets_of, token_losses
from crosstune.train.methods.objectives import OBJECTIVES
from crosstune.train.methods.objectives.pairs import Answers
from crosstune.train.methods.regularizers import Regularizer
from crosstune.train.rows import Rows, Segment

_START = "log_probabilities_at_start"


class PreferenceLoss(Regularizer):
    """The loss of pairs, and what it keeps of the phase's start: two log-probabilities a pair, in each checkpoint."""

    def __init__(self, settings: Preference) -> None:
        self.settings, self._objective = settings, OBJECTIVES[settings.objective]
        self._start: Tensor | None = None

    def start(self, saved: Mapping[str, Tensor] | None) -> None:
        """Take what a checkpoint saved: in the middle of a phase its start is gone."""
        self._start = saved[_START].cpu() if saved else None

    def begin(self, measure: Callable[[], Tensor]) -> None:
        """Measure the start, where the objective needs it and no checkpoint has it; before the phase's first step."""
        if self.settings.needs_start and self._start is None:
            self._start = measure().cpu()

    def state(self) -> dict[str, Tensor]:
        """Return the log-probabilities at the start."""
        return {} if self._start is None else {_START: self._start}

    def loss(
        self,
        model: nn.Module,
        segments: Sequence[Segment],
        rows: Sequence[int],
        device: torch.device,
        weight: float = 1.0,
    ) -> SummedLoss:
        """Return the loss of some rows, summed over their pairs and weighted.

        The caller's weight is one by the number of pairs in the global batch, so that no split changes the gradient.
        ``segments`` are those of the rows: chosen, rejected, chosen, rejected.
        """
        nats = nats_of(model, segments, device)
        chosen, rejected = self._sides(nats, segments, rows)
        rewards = [self._objective.reward(side, self.settings) for side in (chosen, rejected)]
        difference = rewards[0] - rewards[1]
        losses = self.settings.nll_weight * -chosen.per_token
        if self._objective.loss is not None:
            losses = losses + self._objective.loss(difference - self.settings.margin)
        measured = {"loss": losses, "accuracy": (difference > 0).float(), "margin": difference}
        sums = {name: values.detach().sum() for name, values in measured.items()}
        return SummedLoss(weight * losses.sum(), nats.detach(), sums)

    def _sides(self, nats: Tensor, segments: Sequence[Segment], rows: Sequence[int]) -> list[Answers]:
        lengths = torch.tensor([float(segment.num_supervised) for segment in segments], device=nats.device)
        start = None if self._start is None else self._start[torch.as_tensor(rows, dtype=torch.long)].to(nats.device)
        return [Answers(-nats[side::2], lengths[side::2], None if start is None else start[:, side]) for side in (0, 1)]


def nats_of(model: nn.Module, segments: Sequence[Segment], device: torch.device) -> Tensor:
    """Return the cross-entropy of each segment's supervised tokens, summed, in nats, [segments]; with gradient."""
    losses = token_losses(predicted_logits(model, segments, device), targets_of(segments, device))
    owners = torch.from_numpy(owners_of(segments)).to(device)
    return torch.zeros(len(segments), device=device).index_add(0, owners, losses)


@torch.no_grad()
def log_probabilities(accelerator: Accelerator, model: nn.Module, rows: Rows, budget: int) -> Tensor:
    """Return the log-probability of both answers of every row, [rows, 2], the same on every rank.

    At the start of a phase adapters change nothing yet: with or without them it is the model that the phase begins
    with. ``budget`` is the number of tokens of a forward pass.
    """
    found = torch.zeros(len(rows), 2, device=accelerator.device)
    was_training = model.training
    model.eval()
    way = way_of(model, "training", int(rows.facts.length.max()))
    ranks = split_over_ranks(rows, np.arange(len(rows)), accelerator.num_processes, budget, way)
    for indices in ranks[accelerator.process_index]:
        # A rank without rows of its own computes another's, for nothing: it must take part in gathering weights.
        nats = nats_of(model, rows.segments(indices) or rows[0], accelerator.device)
        if indices:
            found[torch.tensor(indices, device=found.device)] = -nats.reshape(-1, 2)
    model.train(was_training)
    return accelerator.reduce(found, reduction="sum") if accelerator.num_processes > 1 else found
