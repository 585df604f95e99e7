"""Greedy generation row by row through transformers' own `generate`, for models that cannot be continued in slots."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from crosstune.evaluate.generate.rows import Generated, ShouldStop, WrittenRow
from crosstune.models.finite import NotFiniteError, is_finite
from crosstune.models.plain import as_plain, longest_row_forgotten, settings_forgotten


def generate_alone(
    model: PreTrainedModel, rows: Sequence[WrittenRow], stops: Collection[int], should_stop: ShouldStop | None
) -> Iterator[tuple[int, Generated]]:
    """Continue rows greedily one after the other, each with a cache of the model's own kind, and yield them."""
    for row in rows:
        _write(model, row, stops, should_stop)
        yield row.index, row.generated()


@torch.inference_mode()
def _write(model: Any, row: WrittenRow, stops: Collection[int], should_stop: ShouldStop | None) -> None:
    prompt = torch.tensor([list(row.prompt)], device=model.device)

    def stop(tokens: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
        row.take(int(tokens[0, -1]), stops, should_stop)
        return torch.tensor([not row.is_open], device=tokens.device)

    def check(_tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        if not is_finite(logits.amax(1)):
            raise NotFiniteError(row.index)
        return logits

    with settings_forgotten(model), as_plain(model), longest_row_forgotten(model):
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=row.room,
            do_sample=False,
            pad_token_id=min(stops, default=0),
            stopping_criteria=[stop],
            logits_processor=[check],
        )
