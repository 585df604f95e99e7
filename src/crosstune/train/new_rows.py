"""Embedding rows for new pieces: where they start, and how to train nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from crosstune.artifacts import read_json
from crosstune.recipe import NewRows


@dataclass(frozen=True)
class Subwords:
    """What the tokenizer stage says of the new pieces.

    Attributes:
        old_size: pieces before the extension; their rows never move.
        new_size: pieces after it.
        subwords: for each new piece, in order of its id, the old ids that spelt it; empty for padding.
    """

    old_size: int
    new_size: int
    subwords: tuple[tuple[int, ...], ...]


def read_subwords(extended_tokenizer: Path) -> Subwords:
    """Read ``subwords.json`` of an extended tokenizer."""
    content = read_json(extended_tokenizer / "subwords.json")
    return Subwords(content["old_size"], content["new_size"], tuple(tuple(ids) for ids in content["subwords"]))


def extend_embeddings(model: PreTrainedModel, subwords: Subwords, settings: NewRows, seed: int) -> None:
    """Give the model's input and output matrices a row for each new piece; old rows stay as they are, bit for bit."""
    if matrices(model)[0].shape[0] < subwords.new_size:
        # mean_resizing off: transformers would draw the rows from a normal distribution around the mean of all.
        model.resize_token_embeddings(subwords.new_size, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    for matrix in matrices(model):
        _fill(matrix, subwords, settings, generator)


def matrices(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the input and output matrix, [pieces, hidden size]; one matrix when they are tied."""
    weights: list[Any] = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]  # type: ignore[no-untyped-call]
    return [weights[0]] if weights[0] is weights[1] else weights


@torch.no_grad()
def _fill(matrix: Tensor, subwords: Subwords, settings: NewRows, generator: torch.Generator) -> None:
    old = matrix[: subwords.old_size].float()
    spread = old.std(dim=0)
    mean = old.mean(dim=0)
    for index, ids in enumerate(subwords.subwords):
        noise = torch.randn(old.shape[1], generator=generator) * spread
        if settings.method == "random":
            row = mean + noise
        else:
            # Padding has no subwords: it starts at the mean of all, where it neither wins nor hurts.
            row = (old[list(ids)].mean(dim=0) if ids else mean) + settings.noise * noise
        matrix[subwords.old_size + index] = row.to(matrix.dtype)


class FrozenOldRows:
    """Trains the new rows of the embedding matrices and nothing else.

    A masked gradient alone is no freeze: weight decay moves rows without gradient. So the old rows are put back after
    each step.
    """

    def __init__(self, model: PreTrainedModel, old_size: int) -> None:
        self.old_size = old_size
        self.old: list[Tensor] = []
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.matrices = matrices(model)
        for matrix in self.matrices:
            matrix.requires_grad_(True)
            matrix.register_hook(self._only_new)  # type: ignore[no-untyped-call]

    def remember(self) -> None:
        """Take the old rows as they are now: call it when the weights of a checkpoint are loaded."""
        self.old = [matrix[: self.old_size].detach().clone() for matrix in self.matrices]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the old rows back, after an optimiser step."""
        for matrix, old in zip(self.matrices, self.old, strict=True):
            matrix[: self.old_size] = old

    def _only_new(self, gradient: Tensor) -> Tensor:
        masked = gradient.clone()
        masked[: self.old_size] = 0
        return masked
