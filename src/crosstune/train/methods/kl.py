"""How far a model's predictions have gone from those it began with, as a part of the loss."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crosstune.train.loss import predicted_logits, row_chunks
from crosstune.train.methods.regularizers import Regularizer, copies_of
from crosstune.train.rows import Segment


class StartDivergence(Regularizer):
    """Adds weight x KL(start || model) of the next-token distributions, at the supervised tokens of some languages.

    The start is the model as the phase began, new rows included; it is kept beside the model and runs without
    gradients. Learning without forgetting (Li and Hoiem 2016, https://arxiv.org/abs/1606.09282), on replayed rows.
    """

    # The start's, the chosen rows of the model's, and the gradient; all rows, where all are in the languages.
    num_logits = 3

    def __init__(self, model: nn.Module, weight: float, languages: Sequence[str]) -> None:
        self._model, self._weight, self._languages = model, weight, frozenset(languages)
        self._start: nn.Module | None = None

    def start(self, saved: Mapping[str, Tensor] | None) -> None:
        """Copy the model as the start."""
        self._start = copy.deepcopy(self._model).requires_grad_(False).eval()
        weights = dict(self._start.named_parameters())
        with torch.no_grad():
            for name, value in copies_of(weights, saved).items():
                weights[name].copy_(value)

    def state(self) -> dict[str, Tensor]:
        """Return the start: a resumed run could not compute it again."""
        assert self._start is not None
        return {name: weight.detach() for name, weight in self._start.named_parameters()}

    def num_kept(self) -> int:
        """Return the values of the start, adapters included."""
        return sum(weight.numel() for weight in self._model.parameters())

    def penalty(self, segments: Sequence[Segment], owners: np.ndarray, logits: Tensor) -> Tensor | None:
        """Return the weighted divergence in nats, summed; None where no segment is in one of the languages.

        Owners: of each row of the logits, the place of its segment, [rows].
        """
        chosen = [place for place, segment in enumerate(segments) if segment.language in self._languages]
        if not chosen:
            return None
        assert self._start is not None
        with torch.no_grad():
            start = predicted_logits(self._start, [segments[place] for place in chosen], logits.device)
        rows = torch.from_numpy(np.flatnonzero(np.isin(owners, chosen))).to(logits.device)
        return self._weight * kl_divergence(start, logits.index_select(0, rows)).sum()


def kl_divergence(start: Tensor, logits: Tensor) -> Tensor:
    """Return KL(start || model) of each row in nats, [rows], in float32, a few rows at a time.

    Both are logits, [rows, pieces].
    """
    divergences: Tensor = _ChunkedDivergence.apply(start, logits)  # type: ignore[no-untyped-call]
    return divergences


class _ChunkedDivergence(torch.autograd.Function):
    """Computes the gradient by the logits together with the divergence: softmax(logits) - softmax(start)."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, logits: Tensor) -> Tensor:
        divergences = torch.empty(len(logits), device=logits.device)
        gradient = torch.empty_like(logits)
        for rows in row_chunks(logits):
            wanted, found = (part[rows].float().log_softmax(dim=-1) for part in (start, logits))
            probabilities = wanted.exp()
            divergences[rows] = (probabilities * (wanted - found)).sum(dim=-1)
            gradient[rows] = (found.exp() - probabilities).to(gradient.dtype)
        ctx.save_for_backward(gradient)
        return divergences

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, Tensor]:
        (gradient,) = ctx.saved_tensors
        return None, gradient.mul_(upstream[0][:, None].to(gradient.dtype))
