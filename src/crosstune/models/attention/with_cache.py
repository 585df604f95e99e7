"""Rows that a model continues side by side, each with its keys and values in a slot of memory that stays its own."""

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, LlamaModel, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from crosstune.models import packing
from crosstune.models.attention.asked import EVERYTHING, Span, asked_of, refuse_mask
from crosstune.models.attention.by_scores import attend_by_scores
from crosstune.models.attention.short_rows import for_query_heads
from crosstune.models.kernels.skip_unused_positions import skip_unread_positions
from crosstune.models.logits import logit_parts

ATTENTION = "crosstune_slots"
# Before transformers 5.24 models take their cache as past_key_values.
_CACHE = "cache" if "cache" in signature(LlamaModel.forward).parameters else "past_key_values"

Read = TypeVar("Read")


class Seen:
    """Which places of its slot each row's newest token sees, at one step."""

    def __init__(self, positions: Tensor, longest: int, dtype: torch.dtype) -> None:
        """Take each row's newest position, [rows], and how many places the longest row has."""
        self._positions, self._longest, self._dtype = positions, longest, dtype
        self._biases: dict[Span, Tensor] = {}

    def bias(self, span: Span = EVERYTHING) -> Tensor:
        """Return what is added to the scores, nothing or minus infinity, [rows, 1, 1, longest]."""
        hiding = span if span == EVERYTHING else span.within(self._longest)
        if hiding not in self._biases:
            places = torch.arange(self._longest, device=self._positions.device)
            unseen = ~hiding.sees(self._positions[:, None], places)
            bias = torch.zeros(unseen.shape, dtype=self._dtype, device=places.device)
            self._biases[hiding] = bias.masked_fill_(unseen, float("-inf"))[:, None, None]
        return self._biases[hiding]


class Slots(Generic[Read]):
    """Rows that are written side by side; those in use are always the first ones.

    The model's attention must be ``with_cache.ATTENTION``. ``read`` makes of the logits, which come in parts, what the
    caller wants to know.
    """

    def __init__(
        self, model: PreTrainedModel, num_slots: int, max_length: int, read: Callable[[Iterable[Tensor]], Read]
    ) -> None:
        """Set slots of ``max_length`` tokens apart; their memory is taken when the first prompts are read."""
        self._model, self._read = model, read
        self._lengths: list[int] = []
        num_layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self._layers = [_SlotLayer(num_slots, max_length) for _ in range(num_layers)]
        self._cache = Cache(layers=list(self._layers))

    def join(self, prompts: Sequence[Sequence[int]]) -> Read:
        """Read prompts into free slots, what several begin with once, and return what is read of each one's end."""
        layout = packing.lay_out(prompts, share_prefixes=True, device=self._model.device)
        places = np.zeros((len(prompts), max(map(len, prompts))), np.int64)
        for row, path in enumerate(layout.token_positions):
            places[row, : len(path)] = path
        for layer in self._layers:
            layer.reads(len(self._lengths), torch.from_numpy(places).to(self._model.device))
        ends = np.array([path[-1] for path in layout.token_positions])
        self._lengths += map(len, prompts)
        with skip_unread_positions(self._model):
            return self._logits(
                torch.from_numpy(ends).to(self._model.device),
                input_ids=layout.input_ids,
                position_ids=layout.position_ids,
                packed_layout=layout,
                read_positions=torch.from_numpy(np.unique(ends)).to(self._model.device),
            )

    def step(self, tokens: Sequence[int]) -> Read:
        """Append one token to each row and return what is read behind it."""
        device = self._model.device
        positions = torch.tensor(self._lengths, device=device)
        longest = max(self._lengths) + 1
        for layer in self._layers:
            layer.writes_at(positions, longest)
        seen = Seen(positions, longest, self._model.dtype)
        self._lengths = [length + 1 for length in self._lengths]
        return self._logits(
            None,
            input_ids=torch.tensor(tokens, device=device)[:, None],
            position_ids=positions[:, None],
            attention_mask=seen.bias(),
            slots_seen=seen,
        )

    def leave(self, place: int) -> None:
        """Free a slot; the last row moves into it."""
        last = len(self._lengths) - 1
        if place < last:
            for layer in self._layers:
                layer.move(last, place, self._lengths[last])
            self._lengths[place] = self._lengths[last]
        self._lengths.pop()

    def _logits(self, positions: Tensor | None, **inputs: Any) -> Read:
        inputs[_CACHE] = self._cache
        return self._read(logit_parts(self._model, positions, use_cache=True, **inputs))


class _SlotLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values, [slots, heads, max_length, size], each row from its slot's first place on."""

    def __init__(self, num_slots: int, max_length: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_slots, self._max_length = num_slots, max_length
        self._buffers: tuple[Tensor, ...] = ()
        self._is_reading = False
        self._first = self._longest = self._num_clear = 0
        self._places = torch.empty(0)

    def reads(self, first: int, places: Tensor) -> None:
        """Say where prompts go, into slots from ``first`` on, and where they stand in the packed row.

        Places are [prompts, longest prompt], shorter ones filled up with any.
        """
        self._is_reading, self._first, self._places, self._longest = True, first, places, places.shape[1]

    def writes_at(self, positions: Tensor, longest: int) -> None:
        """Say where the next keys and values go, [rows], and how long the longest row is with them."""
        self._is_reading, self._places, self._longest = False, positions, longest

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a slot's row into another slot."""
        for buffer in self._buffers:
            buffer[target, :, :length] = buffer[source, :, :length]

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Keep keys and values, and return those that are attended to.

        Of prompts: [1, heads, packed length, size], returned as they are; otherwise one per row, [rows, heads, 1,
        size], and all of all rows are returned, padded to the longest.
        """
        if not self._buffers:
            self.lazy_initialization(key_states, value_states)
            self._buffers = tuple(
                states.new_empty(self._num_slots, states.shape[1], self._max_length, states.shape[-1])
                for states in (key_states, value_states)
            )
        self._clear()
        if self._is_reading:
            slots = slice(self._first, self._first + len(self._places))
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[slots, :, : self._longest] = states[0][:, self._places].transpose(0, 1)
            return key_states, value_states
        rows = torch.arange(len(self._places), device=self._places.device)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[rows, :, self._places] = states[:, :, 0]
        self.keys, self.values = (buffer[: len(rows), :, : self._longest] for buffer in self._buffers)
        return self.keys, self.values

    def _clear(self) -> None:
        """Put zeros at places that no row has reached: what is not seen must be finite, since NaN times zero is NaN."""
        if self._longest > self._num_clear:
            for buffer in self._buffers:
                buffer[:, :, self._num_clear : self._longest] = 0
            self._num_clear = self._longest


def _slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend within the packed row of the prompts, or from one token a row to those that the mask leaves."""
    states = (query, key, value)
    if "packed_layout" in options:
        packed = AttentionInterface()[packing.ATTENTION]  # type: ignore[no-untyped-call]
        return packed(module, *states, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]
    asked, seen = asked_of(module, options), options.get("slots_seen")
    if not isinstance(seen, Seen):
        raise ValueError(
            f"{type(module).__name__} does not pass keyword arguments to its attention, so rows cannot be generated "
            f"side by side"
        )
    refuse_mask(module, attention_mask, seen.bias())
    bias = seen.bias(asked.span)
    scaling = scaling or query.shape[3] ** -0.5
    if not asked.is_plain:
        # Heads first, as packed attention has them.
        by_head = [taken.transpose(0, 1) for taken in states]
        by_head[1:] = [for_query_heads(taken, len(by_head[0])) for taken in by_head[1:]]
        output = attend_by_scores((by_head[0], by_head[1], by_head[2]), bias[:, 0], scaling, asked)
        return output.permute(1, 2, 0, 3).contiguous(), None
    # In float32 only: in bfloat16 the fused kernel sums with more digits.
    if query.device.type == "cpu" and query.dtype == torch.float32:
        return _attend_from_one(states, bias, scaling), None
    return sdpa_attention_forward(module, *states, bias, scaling=scaling)


def _attend_from_one(states: tuple[Tensor, Tensor, Tensor], bias: Tensor, scaling: float) -> Tensor:
    """Attend from one token a row. Query, key, value: [rows, heads, length, size]; returned: [rows, 1, heads, size]."""
    # A matrix with one row is no work for a matrix product. 28 rows of 120 keys and 6 heads, one core with AVX-512:
    # torch's fused kernel 1.0 ms, its default products 0.6, oneDNN's 1.6, these sums 0.6.
    query, key, value = states
    # Grouped-query attention: each key head serves several query heads.
    grouped = query.view(len(query), key.shape[1], -1, 1, query.shape[3]) * scaling
    weights = (grouped * key.unsqueeze(2)).sum(-1).add_(bias).softmax(-1)
    return (weights.unsqueeze(-1) * value.unsqueeze(2)).sum(3).view(len(query), 1, query.shape[1], -1)


AttentionInterface.register(ATTENTION, _slot_attention)
