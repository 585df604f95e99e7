"""Greedy generation in batches of similar length; it stops at EOS or at the limit and at nothing else."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

# Finished rows leave the batch when this share of it is done: leaving costs a copy of the keys and values.
LEAVE_SHARE = 0.25


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
        max_rows: rows per batch.
        batch_tokens: prompt tokens per batch, padding included.
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
    model.set_attn_implementation("sdpa")
    for batch in _batches(prompts, limits):
        if not len(prompts[batch[0]]):
            raise ValueError(
                "a prompt without any token cannot be continued: the tokenizer has no BOS, so give it text"
            )
        yield from _generate_batch(model, [(index, prompts[index]) for index in batch], eos, limits, should_stop)


def _batches(prompts: Sequence[Sequence[int]], limits: Limits) -> Iterator[list[int]]:
    """Yield indices of prompts of similar length, the longest first: memory runs out at once or never."""
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    first = 0
    while first < len(order):
        longest = max(1, len(prompts[order[first]]))
        rows = max(1, min(limits.max_rows, limits.batch_tokens // longest))
        yield order[first : first + rows]
        first += rows


@torch.inference_mode()
def _generate_batch(
    model: PreTrainedModel,
    prompts: list[tuple[int, Sequence[int]]],
    eos: int,
    limits: Limits,
    should_stop: Callable[[list[int]], bool] | None,
) -> Iterator[tuple[int, Generated]]:
    rows, start = [], []
    for index, prompt in prompts:
        row = _Row(index, min(limits.max_new_tokens, limits.max_positions - len(prompt)), [])
        if row.room > 0:
            rows.append(row)
            start.append(prompt)
        else:
            yield index, Generated((), False)
    if not rows:
        return
    batch = _Batch(model, start, max(row.room for row in rows))
    logits = batch.start(start)
    while True:
        for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
            if row.is_open:
                row.take(token, eos, should_stop)
                if not row.is_open:
                    yield row.index, Generated(tuple(row.tokens), row.finished)
        staying = [place for place, row in enumerate(rows) if row.is_open]
        if not staying:
            return
        if len(staying) <= (1 - LEAVE_SHARE) * len(rows):
            batch.keep(staying)
            rows = [rows[place] for place in staying]
        logits = batch.step([row.tokens[-1] if row.tokens else eos for row in rows])


@dataclass
class _Row:
    """One row of a batch: its number among the prompts, how many tokens it may write, and those it wrote."""

    index: int
    room: int
    tokens: list[int]
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


class _Batch:
    """Rows continued side by side, padded on the left, with their keys and values."""

    def __init__(self, model: PreTrainedModel, prompts: list[Sequence[int]], room: int) -> None:
        self._model = model
        self._length = max(len(prompt) for prompt in prompts)
        padding = [self._length - len(prompt) for prompt in prompts]
        self._padding = torch.tensor(padding, device=model.device)
        self._visible = torch.arange(self._length + room, device=model.device)[None] >= self._padding[:, None]
        num_layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self._layers = [_RoomyLayer(room) for _ in range(num_layers)]
        self._cache = Cache(layers=list(self._layers))

    def start(self, prompts: list[Sequence[int]]) -> Tensor:
        """Read the prompts and return the logits behind each, [rows, vocabulary]."""
        rows = [[0] * (self._length - len(prompt)) + list(prompt) for prompt in prompts]
        seen = self._visible[:, None, : self._length]
        causal = torch.ones(self._length, self._length, dtype=torch.bool, device=seen.device).tril()
        # Padding attends to itself: a query that sees nothing would give NaN, and NaN times zero weight is NaN.
        mask = (causal & seen) | torch.eye(self._length, dtype=torch.bool, device=seen.device)
        positions = (torch.arange(self._length, device=seen.device)[None] - self._padding[:, None]).clamp(min=0)
        return self._forward(torch.tensor(rows, device=seen.device), positions, mask[:, None])

    def step(self, tokens: list[int]) -> Tensor:
        """Append one token to each row and return the logits behind it, [rows, vocabulary]."""
        positions = (self._length - self._padding)[:, None]
        self._length += 1
        mask = self._visible[:, None, None, : self._length]
        return self._forward(torch.tensor(tokens, device=mask.device)[:, None], positions, mask)

    def keep(self, places: list[int]) -> None:
        """Let all other rows leave the batch."""
        index = torch.tensor(places, device=self._padding.device)
        self._padding, self._visible = self._padding[index], self._visible[index]
        for layer in self._layers:
            layer.keep(index)

    def _forward(self, input_ids: Tensor, position_ids: Tensor, mask: Tensor) -> Tensor:
        output = self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits


class _RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values with room for those to come; transformers' own layer copies all of them at every step."""

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room
        self._length = 0
        self._buffers: tuple[Tensor, ...] = ()

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append keys and values, [rows, heads, new, size], and return all of them so far."""
        if not self._buffers:
            self.lazy_initialization(key_states, value_states)
            rows, heads, new = key_states.shape[:3]
            self._buffers = tuple(
                states.new_empty(rows, heads, new + self._room, states.shape[-1])
                for states in (key_states, value_states)
            )
        end = self._length + key_states.shape[2]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self._length : end] = states
        self._length = end
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def keep(self, index: Tensor) -> None:
        """Drop all rows but these."""
        self._buffers = tuple(buffer.index_select(0, index) for buffer in self._buffers)
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)
