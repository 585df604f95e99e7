"""Greedy generation in slots that are refilled as answers end; it stops at EOS or at the limit and at nothing else."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from crosstune.models.attention.with_cache import ATTENTION, Slots
from crosstune.models.kernels.low_memory_layers import lean_layers

# New prompts are read when this share of the slots is free: read together they cost less than one by one.
REFILL_SHARE = 0.125


@dataclass(frozen=True)
class Generated:
    """What the model wrote.

    Attributes:
        tokens: without the EOS.
        finished: whether it stopped by itself; false when it ran into the limit.
    """

    tokens: tuple[int, ...]
    finished: bool


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


Write = Callable[[Sequence[Sequence[int]], int, Limits], Iterator[tuple[int, Generated]]]
"""Continues token rows greedily up to an EOS: from prompts, EOS, limits to (index of the prompt, what was written)."""


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    eos: int,
    limits: Limits,
    should_stop: Callable[[list[int]], bool] | None = None,
) -> Iterator[tuple[int, Generated]]:
    """Continue token rows greedily and yield (index of the prompt, what was written) as rows end.

    ``should_stop`` sees a row's new tokens after each step and may end it.
    """
    model.set_attn_implementation(ATTENTION)
    for group in _groups(prompts):
        if not len(prompts[group[0]]):
            raise ValueError(
                "a prompt without any token cannot be continued: the tokenizer has no BOS, so give it text"
            )
        rows = []
        for index in group:
            room = min(limits.max_new_tokens, limits.max_positions - len(prompts[index]))
            if room > 0:
                rows.append(_Row(index, prompts[index], room))
            else:
                yield index, Generated((), False)
        if rows:
            num_slots = max(1, min(limits.max_rows, limits.batch_tokens // len(rows[0].prompt), len(rows)))
            with lean_layers(model):
                yield from _generate_group(model, rows, num_slots, eos, should_stop)


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


@dataclass
class _Row:
    """A prompt, its number among the prompts, how many tokens may follow it, and those that do."""

    index: int
    prompt: Sequence[int]
    room: int
    tokens: list[int] = field(default_factory=list)
    is_open: bool = True
    finished: bool = False

    def take(self, token: int, eos: int, should_stop: Callable[[list[int]], bool] | None) -> None:
        """Add the next token, and close the row where it ends."""
        if token == eos:
            self.is_open, self.finished = False, True
            return
        self.tokens.append(token)
        self.finished = should_stop is not None and should_stop(self.tokens)
        self.is_open = not self.finished and len(self.tokens) < self.room


@torch.inference_mode()
def _generate_group(
    model: PreTrainedModel,
    rows: list[_Row],
    num_slots: int,
    eos: int,
    should_stop: Callable[[list[int]], bool] | None,
) -> Iterator[tuple[int, Generated]]:
    waiting = deque(rows)
    slots = Slots(model, num_slots, max(len(row.prompt) + row.room for row in rows))
    writing: list[_Row] = []
    while waiting or writing:
        free = num_slots - len(writing)
        if waiting and free >= REFILL_SHARE * num_slots:
            taking = [waiting.popleft() for _ in range(min(free, len(waiting)))]
            tokens = slots.join([row.prompt for row in taking])
            writing += taking
        else:
            taking = writing
            tokens = slots.step([row.tokens[-1] for row in writing])
        for row, token in zip(taking, tokens, strict=True):
            row.take(token, eos, should_stop)
        # From the last one back: the row that fills a gap has been looked at.
        for place in reversed(range(len(writing))):
            row = writing[place]
            if not row.is_open:
                yield row.index, Generated(tuple(row.tokens), row.finished)
                slots.leave(place)
                writing[place] = writing[-1]
                writing.pop()
