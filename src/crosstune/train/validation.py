"""Held-out text, scored while a phase trains: gain and forgetting are seen while they happen.

Bits per byte, because the number of tokens of a text changes with the vocabulary and its bytes do not. Windows, what is
given and what is scored are those of the evaluation's ``bits_per_byte``: `tokens.bits_per_byte`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from crosstune.models.float64 import in_float64
from crosstune.models.paths import read_rows, way_of
from crosstune.tokens.bits_per_byte import bits_per_byte, token_before_text, windows
from crosstune.train.batches import split_over_ranks
from crosstune.train.loss import cross_entropy, layout_options
from crosstune.train.rows import Rows, Segment


@dataclass(frozen=True)
class HeldOutText:
    """The texts of one language.

    Attributes:
        rows: their windows, one a row; what is given counts as its prompt.
        num_bytes: UTF-8 bytes of all texts.
    """

    rows: Rows
    num_bytes: int


def score_text(
    texts: Mapping[str, HeldOutText], accelerator: Accelerator, model: nn.Module, budget: int
) -> dict[str, float]:
    """Return bits per byte by language; ``budget`` is the number of tokens of a forward pass."""
    was_training = model.training
    model.eval()
    bits = {language: _bits_per_byte(accelerator, model, text, budget) for language, text in texts.items()}
    model.train(was_training)
    return bits


def held_out_text(tokens: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, HeldOutText]:
    """Return plain text by language, in windows of which a model reads ``max_length`` tokens."""
    languages = sorted(pc.unique(tokens["language"]).to_pylist())
    tables = {language: tokens.filter(pc.equal(tokens["language"], language)) for language in languages}
    return {
        language: HeldOutText(
            rows=Rows.of([(segment,) for segment in _segments(table, tokenizer, max_length)]),
            num_bytes=pc.sum(table["num_bytes"]).as_py(),
        )
        for language, table in tables.items()
    }


def _segments(tokens: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Segment]:
    before = token_before_text(tokenizer)
    first = 0 if tokenizer.bos_token_id is None else 1
    names = ("tokens", "language", "source")
    for whole, *facts in zip(*(tokens[name].to_pylist() for name in names), strict=True):
        # The text's own tokens: BOS stands before them, and EOS after them.
        for window in windows(whole[first:-1], before, max_length):
            yield Segment((*window.context, *window.continuation), len(window.context), 0, *facts)


@torch.no_grad()
def _bits_per_byte(accelerator: Accelerator, model: nn.Module, text: HeldOutText, budget: int) -> float:
    """Return the bits per byte of a language's texts, the same on every rank."""
    total: Any = in_float64(torch.zeros((), device=accelerator.device))
    way = way_of(model, "training", int(text.rows.facts.length.max()))
    ranks = split_over_ranks(text.rows, range(len(text.rows)), accelerator.num_processes, budget, way)
    for indices in ranks[accelerator.process_index]:
        segments = text.rows.segments(indices)
        # A rank without rows of its own computes another's, for nothing: it must take part in gathering weights.
        nats = _nats(model, segments or text.rows[0], accelerator.device)
        total += nats.to(total.device) if segments else 0.0
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, reduction="sum")
    return bits_per_byte(float(total), text.num_bytes)


def _nats(model: nn.Module, segments: Sequence[Segment], device: torch.device) -> Tensor:
    """Return the summed cross-entropy of the windows' scored tokens.

    The last token of a window predicts nothing and is not laid out: a window may fill all positions that a model has.
    """
    rows = [segment.tokens[:-1] for segment in segments]
    read = [np.arange(segment.num_prompt - 1, len(row)) for segment, row in zip(segments, rows, strict=True)]
    logits = read_rows(model, rows, read, layout_options(device))
    targets = [token for segment in segments for token in segment.tokens[segment.num_prompt :]]
    return cross_entropy(logits, torch.tensor(targets, device=device))[0]
