"""Greedy generation in slots that are refilled as answers end; it stops at EOS or at the limit and at nothing else."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from crosstune.packing import MAX_PLAIN_ATTENTION, attend_plain

_ATTENTION = "crosstune_slots"

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
    model.set_attn_implementation(_ATTENTION)
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
    slots = _Slots(model, num_slots, max(len(row.prompt) + row.room for row in rows))
    writing: list[_Row] = []
    while waiting or writing:
        free = num_slots - len(writing)
        if waiting and free >= REFILL_SHARE * num_slots:
            taking = [waiting.popleft() for _ in range(min(free, len(waiting)))]
            logits = slots.join([row.prompt for row in taking])
            writing += taking
        else:
            taking = writing
            logits = slots.step([row.tokens[-1] for row in writing])
        for row, token in zip(taking, logits.argmax(-1).tolist(), strict=True):
            row.take(token, eos, should_stop)
        # From the last one back: the row that fills a gap has been looked at.
        for place in reversed(range(len(writing))):
            row = writing[place]
            if not row.is_open:
                yield row.index, Generated(tuple(row.tokens), row.finished)
                slots.leave(place)
                writing[place] = writing[-1]
                writing.pop()


class _Slots:
    """Rows continued side by side, with their keys and values; those in use are always the first ones."""

    def __init__(self, model: PreTrainedModel, num_slots: int, max_length: int) -> None:
        self._model = model
        self._lengths: list[int] = []
        num_layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self._layers = [_SlotLayer(num_slots, max_length) for _ in range(num_layers)]
        self._cache = Cache(layers=list(self._layers))

    def join(self, prompts: list[Sequence[int]]) -> Tensor:
        """Read prompts into free slots and return the logits behind each, [prompts, vocabulary]."""
        longest = max(map(len, prompts))
        rows = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        padding = torch.tensor([longest - len(prompt) for prompt in prompts])[:, None]
        places = torch.arange(longest)
        causal = places[:, None] >= places
        # Padding attends to itself: a query that sees nothing would give NaN, and NaN times zero weight is NaN.
        mask = (causal & (places >= padding)[:, None]) | torch.eye(longest, dtype=torch.bool)
        read = [DynamicLayer() for _ in self._layers]  # type: ignore[no-untyped-call]
        logits = self._forward(rows, (places - padding).clamp(min=0), mask[:, None], Cache(layers=list(read)))
        for layer, found in zip(self._layers, read, strict=True):
            assert found.keys is not None and found.values is not None
            layer.join(len(self._lengths), found.keys, found.values, [len(prompt) for prompt in prompts])
        self._lengths += map(len, prompts)
        return logits

    def step(self, tokens: list[int]) -> Tensor:
        """Append one token to each row and return the logits behind it, [rows, vocabulary]."""
        positions = torch.tensor(self._lengths, device=self._model.device)
        longest = max(self._lengths) + 1
        for layer in self._layers:
            layer.writes_at(positions, longest)
        mask = torch.arange(longest, device=positions.device) <= positions[:, None]
        self._lengths = [length + 1 for length in self._lengths]
        return self._forward(torch.tensor(tokens)[:, None], positions[:, None], mask[:, None, None], self._cache)

    def leave(self, place: int) -> None:
        """Free a slot; the last row moves into it."""
        last = len(self._lengths) - 1
        if place < last:
            for layer in self._layers:
                layer.move(last, place, self._lengths[last])
            self._lengths[place] = self._lengths[last]
        self._lengths.pop()

    def _forward(self, input_ids: Tensor, position_ids: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        device = self._model.device
        output = self._model(
            input_ids=input_ids.to(device),
            position_ids=position_ids.to(device),
            attention_mask=mask.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits


class _SlotLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values, [slots, heads, max_length, size], each row from its slot's first place on."""

    def __init__(self, num_slots: int, max_length: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_slots, self._max_length = num_slots, max_length
        self._buffers: tuple[Tensor, ...] = ()
        self._positions = torch.empty(0)
        self._longest = self._num_clear = 0

    def join(self, first: int, keys: Tensor, values: Tensor, lengths: list[int]) -> None:
        """Copy rows, [rows, heads, length, size], padded on their left, into slots from ``first`` on."""
        if not self._buffers:
            self.lazy_initialization(keys, values)
            self._buffers = tuple(
                states.new_empty(self._num_slots, states.shape[1], self._max_length, states.shape[-1])
                for states in (keys, values)
            )
        self._clear(max(lengths))
        for buffer, states in zip(self._buffers, (keys, values), strict=True):
            for row, length in enumerate(lengths):
                buffer[first + row, :, :length] = states[row, :, states.shape[2] - length :]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a slot's row into another slot."""
        for buffer in self._buffers:
            buffer[target, :, :length] = buffer[source, :, :length]

    def writes_at(self, positions: Tensor, longest: int) -> None:
        """Say where the next keys and values go, [rows], and how long the longest row is with them."""
        self._positions, self._longest = positions, longest
        self._clear(longest)

    def _clear(self, longest: int) -> None:
        """Put zeros at places that no row has reached: what is not seen must be finite, since NaN times zero is NaN."""
        if longest > self._num_clear:
            for buffer in self._buffers:
                buffer[:, :, self._num_clear : longest] = 0
            self._num_clear = longest

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write one key and value per row, [rows, heads, 1, size], and return all rows, padded to the longest."""
        num_rows = len(self._positions)
        rows = torch.arange(num_rows, device=self._positions.device)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[rows, :, self._positions] = states[:, :, 0]
        self.keys, self.values = (buffer[:num_rows, :, : self._longest] for buffer in self._buffers)
        return self.keys, self.values


def _slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend where the mask says so, as transformers' ``sdpa``, faster on CPUs; without one, to all before it."""
    # The fused kernel computes each row and head by itself: with oneDNN's products, one token for each of 90 rows of
    # 120 keys and 6 heads takes it 13.5 ms, plain products 4.3 ms (one core with AVX-512).
    # In float32 only: in bfloat16 the fused kernel sums with more digits.
    is_short = query.shape[2] == 1 or key.shape[2] <= MAX_PLAIN_ATTENTION
    if attention_mask is not None and query.device.type == "cpu" and query.dtype == torch.float32 and is_short:
        repeats = query.shape[1] // key.shape[1]
        if repeats > 1:  # grouped-query attention: each key head serves several query heads
            key, value = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
        return attend_plain((query, key, value), attention_mask, scaling).transpose(1, 2), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)


AttentionInterface.register(_ATTENTION, _slot_attention)
