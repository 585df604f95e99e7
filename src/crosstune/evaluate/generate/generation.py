"""Greedy generation in slots that are refilled as answers end; it stops at EOS or at the limit and at nothing else."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.alone import generate_alone
from crosstune.evaluate.generate.rows import Generated, ShouldStop, WrittenRow
from crosstune.models.attention.with_cache import Slots
from crosstune.models.finite import NotFiniteError
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.logits import likeliest
from crosstune.models.paths import way_of
from crosstune.models.pieces import refuse_pieces_without_row

# New prompts are read when this share of the slots is free: read together they cost less than one by one.
REFILL_SHARE = 0.125


@dataclass(frozen=True)
class Limits:
    """When a row stops, and how many rows run side by side.

    Attributes:
        max_new_tokens: per row, the EOS included.
        max_positions: prompt and new tokens together; a row that has no room left stops unfinished.
        max_rows: at most so many side by side.
        batch_tokens: at most so many prompt tokens side by side, each counted as the longest.
    """

    max_new_tokens: int
    max_positions: int
    max_rows: int
    batch_tokens: int


Write = Callable[[Sequence[Sequence[int]], Collection[int], Limits], Iterator[tuple[int, Generated]]]
"""Continues token rows greedily: from prompts, tokens that end a row, limits to (index of a prompt, what follows)."""


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stops: Collection[int],
    limits: Limits,
    should_stop: ShouldStop | None = None,
) -> Iterator[tuple[int, Generated]]:
    """Continue token rows greedily and yield (index of the prompt, what was written) as rows end.

    ``should_stop`` sees a row's new tokens after each step and may end it.
    """
    refuse_pieces_without_row(model, prompts, "generation")
    longest = max((min(len(prompt) + limits.max_new_tokens, limits.max_positions) for prompt in prompts), default=0)
    is_packed = way_of(model, "generation", longest) == "packed"
    for group in _groups(prompts):
        if not len(prompts[group[0]]):
            raise BadInputError("an empty prompt cannot be continued: the tokenizer has no BOS. Give some text")
        rows = []
        for index in group:
            room = min(limits.max_new_tokens, limits.max_positions - len(prompts[index]))
            if room > 0:
                rows.append(WrittenRow(index, prompts[index], room))
            else:
                yield index, Generated((), False)
        if rows and not is_packed:
            yield from generate_alone(model, rows, stops, should_stop)
        elif rows:
            num_slots = max(1, min(limits.max_rows, limits.batch_tokens // len(rows[0].prompt), len(rows)))
            with lean_layers(model):
                yield from _generate_group(model, rows, num_slots, stops, should_stop)


def _groups(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield indices of prompts, the longest first: memory runs out at once or never.

    Within a group no prompt is shorter than a quarter of the longest: one long prompt does not keep the slots few for
    all.
    """
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    group: list[int] = []
    for index in order:
        if group and 4 * len(prompts[index]) < len(prompts[group[0]]):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


@contextmanager
def naming_rows(rows: Sequence[WrittenRow]) -> Iterator[None]:
    """Say of a prompt, not of its place among those read together, that a model's numbers for it are not finite."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(rows[error.index].index) from None


@torch.inference_mode()
def _generate_group(
    model: PreTrainedModel,
    rows: list[WrittenRow],
    num_slots: int,
    stops: Collection[int],
    should_stop: ShouldStop | None,
) -> Iterator[tuple[int, Generated]]:
    waiting = deque(rows)
    slots = Slots(model, num_slots, max(len(row.prompt) + row.room for row in rows), likeliest)
    writing: list[WrittenRow] = []
    while waiting or writing:
        free = num_slots - len(writing)
        if waiting and free >= REFILL_SHARE * num_slots:
            taking = [waiting.popleft() for _ in range(min(free, len(waiting)))]
            with naming_rows(taking):
                tokens = slots.join([row.prompt for row in taking])
            writing += taking
        else:
            taking = writing
            with naming_rows(taking):
                tokens = slots.step([row.tokens[-1] for row in writing])
        for row, token in zip(taking, tokens, strict=True):
            row.take(token, stops, should_stop)
        # From the last one back: the row that fills a gap has been looked at.
        for place in reversed(range(len(writing))):
            row = writing[place]
            if not row.is_open:
                yield row.index, Generated(tuple(row.tokens), row.finished)
                slots.leave(place)
                writing[place] = writing[-1]
                writing.pop()
