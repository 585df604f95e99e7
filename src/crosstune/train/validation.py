"""Held-out text, scored while a phase trains: gain and forgetting are seen while they happen.

Bits per byte, because the number of tokens of a text changes with the vocabulary and its bytes do not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from crosstune.recipe import Phase
from crosstune.train.batches import split_over_ranks
from crosstune.train.loss import summed_loss
from crosstune.train.rows import Row, make_rows


def score_text(
    rows: Mapping[str, Sequence[Row]], accelerator: Accelerator, model: nn.Module, budget: int
) -> dict[str, float]:
    """Return bits per byte by language; ``budget`` is the number of tokens of a forward pass."""
    was_training = model.training
    model.eval()
    bits = {language: bits_per_byte(accelerator, model, of_one, budget) for language, of_one in rows.items()}
    model.train(was_training)
    return bits


def make_validation_rows(tokens: pa.Table, phase: Phase) -> dict[str, list[Row]]:
    """Pack plain text by language into rows of the stage's maximum length."""
    return {
        language: make_rows(tokens.filter(pc.equal(tokens["language"], language)), phase)[0]
        for language in sorted(pc.unique(tokens["language"]).to_pylist())
    }


@torch.no_grad()
def bits_per_byte(accelerator: Accelerator, model: nn.Module, rows: Sequence[Row], budget: int) -> float:
    """Return the cross-entropy of a text in bits per byte of UTF-8, the same on every rank."""
    total: Any = torch.zeros((), dtype=torch.float64, device=accelerator.device)
    for segments in split_over_ranks(rows, accelerator.num_processes, budget)[accelerator.process_index]:
        # A rank without rows of its own computes another's, for nothing: it must take part in gathering weights.
        loss: Tensor = summed_loss(model, segments or rows[0], accelerator.device).total
        total += loss if segments else 0.0
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, reduction="sum")
    num_bytes = sum(segment.num_bytes for row in rows for segment in row)
    return float(total) / math.log(2) / num_bytes
