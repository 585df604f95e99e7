"""Packed rows: many token rows in one forward pass, without padding, with shared prefixes computed once.

A batch is laid out as one long row. Rows that start with the same tokens (the instruction of 200,302 translation pairs,
a question with its four answers) form a tree: the shared prefix stands once, and every continuation attends to that
prefix and to itself only, with positions counted along the path. Models see it through transformers' public interface:
position ids, an attention function registered by name, and a keyword argument that transformers hands through to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from crosstune.models.attention.asked import EVERYTHING, AttentionRequest, Span, asked_of, refuse_mask
from crosstune.models.attention.by_scores import attend_by_scores
from crosstune.models.attention.groups import Node, group
from crosstune.models.attention.short_rows import Group, attend_groups, for_query_heads, gather
from crosstune.models.prefixes import runs_with_shared_prefix, with_copies

ATTENTION = "crosstune_packed"
# On CPUs the fused kernel costs more than the plain products up to about this many keys. Forward and backward of about
# 1,000 tokens, 9 heads of 64, plain and fused, on a Zen 4 core: rows of 160 tokens 10 and 33 ms in bfloat16, 18 and 46
# in float32; of 256: 16 and 34, 27 and 43; of 512: 39 and 55, 61 and 66; of 640: 29 and 38, 47 and 44.
MAX_PLAIN_ATTENTION = 512


@dataclass(frozen=True)
class Layout:
    """Token rows packed into one.

    Attributes:
        input_ids: [1, packed length].
        position_ids: [1, packed length], counted along each row's path.
        token_positions: for each row, the packed position of each of its tokens.
        nodes: the stretches of tokens that attend alike.
        stretch: the stretch of tokens that each packed position belongs to, numbered, [packed length].
        continued: the stretch that this one continues, its own where it continues none, [packed length].
    """

    input_ids: Tensor
    position_ids: Tensor
    token_positions: tuple[np.ndarray, ...]
    nodes: tuple[Node, ...]
    stretch: Tensor
    continued: Tensor
    _groups: dict[Span, tuple[tuple[Group, ...], Tensor]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def num_tokens(self) -> int:
        """Return the packed length: the tokens that are computed."""
        return self.input_ids.shape[1]

    @property
    def longest_path(self) -> int:
        """Return the tokens of the longest row."""
        return max(len(node.path) + node.length for node in self.nodes)

    def grouped(self, span: Span = EVERYTHING) -> tuple[tuple[Group, ...], Tensor]:
        """Return how attention is computed by one kernel per group of similar stretches, under a layer's span.

        Beside the groups: where each packed position's output stands in their concatenated, padded outputs.
        """
        hiding = span if span == EVERYTHING else span.within(self.longest_path)
        if hiding not in self._groups:
            self._groups[hiding] = group(self.nodes, self.num_tokens, self.input_ids.device, hiding)
        return self._groups[hiding]


def lay_out(
    rows: Sequence[Sequence[int]],
    share_prefixes: bool,
    device: torch.device | None = None,
    *,
    multiple_of: int = 1,
    max_continuing: int | None = None,
) -> Layout:
    """Pack token rows, in any order, into one row.

    With ``share_prefixes``, tokens that begin several rows are laid out once; losses and log-likelihoods stay equal.
    Behind all rows stand a few tokens that nobody reads, where the packed length is to be a multiple of a number. Where
    more than ``max_continuing`` tokens continue a short prefix, it stands several times.

    >>> question = [20, 21, 22, 23, 24, 25, 26, 27]
    >>> layout = lay_out([[*question, 1, 2], [*question, 3]], share_prefixes=True)
    >>> layout.input_ids[0].tolist()
    [20, 21, 22, 23, 24, 25, 26, 27, 1, 2, 3]
    >>> layout.position_ids[0].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8]
    >>> layout.token_positions[1].tolist()  # where the second row stands
    [0, 1, 2, 3, 4, 5, 6, 7, 10]
    """
    runs = runs_with_shared_prefix(rows) if share_prefixes else [(0, [index]) for index in range(len(rows))]
    if max_continuing is not None:
        runs = [part for run in runs for part in with_copies(run, rows, max_continuing)]
    tokens: list[int] = []
    positions: list[int] = []
    nodes: list[Node] = []
    token_positions: list[np.ndarray] = [np.empty(0, np.int64)] * len(rows)

    def add(piece: Sequence[int], path: np.ndarray) -> np.ndarray:
        nodes.append(Node(len(tokens), len(piece), path))
        tokens.extend(piece)
        positions.extend(range(len(path), len(path) + len(piece)))
        return np.concatenate([path, np.arange(nodes[-1].start, len(tokens))])

    nothing = np.empty(0, np.int64)
    for shared, members in runs:
        prefix = add(rows[members[0]][:shared], nothing) if shared else nothing
        for member in members:
            rest = rows[member][shared:]
            token_positions[member] = add(rest, prefix) if rest else prefix
    if num_lacking := -len(tokens) % multiple_of:
        # An ordinary token: of a row of zeros, as padding has, some models have no gradient.
        add([tokens[0]] * num_lacking, nothing)
    stretch = np.repeat(np.arange(len(nodes), dtype=np.int32), [node.length for node in nodes])
    continued = [stretch[node.path[0]] if len(node.path) else number for number, node in enumerate(nodes)]
    return Layout(
        input_ids=torch.tensor([tokens], device=device),
        position_ids=torch.tensor([positions], device=device),
        token_positions=tuple(token_positions),
        nodes=tuple(nodes),
        stretch=torch.from_numpy(stretch).to(device),
        continued=torch.from_numpy(np.array(continued, np.int32)[stretch]).to(device),
    )


def logits_at(model: nn.Module, layout: Layout, positions: Tensor) -> Tensor:
    """Run the model over a layout and return the logits at some packed positions only, [len(positions), vocabulary].

    The model's attention must be ``packing.ATTENTION`` (``model.set_attn_implementation``). ``positions`` are best left
    on the CPU: how many differ is asked of them.
    """
    device = layout.input_ids.device
    # transformers' models apply the head only to the positions of `logits_to_keep`, which may repeat.
    output = model(
        input_ids=layout.input_ids,
        position_ids=layout.position_ids,
        use_cache=False,
        logits_to_keep=positions.to(device),
        packed_layout=layout,
        read_positions=torch.unique(positions).to(device),
    )
    # squeeze, not [0]: the gradient of an index is a matrix of zeros into which the gradient is copied.
    logits: Tensor = output.logits.squeeze(0)
    return logits


def packed_attention(  # noqa: PLR0913 - the signature is transformers'
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed_layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend within each path of the layout. Query, key, value: [1, heads, packed length, head size]."""
    if packed_layout is None:
        raise ValueError(
            f"attention {ATTENTION!r} was called without a layout: {type(module).__name__} does not pass keyword "
            f"arguments to its attention, so this model cannot be trained packed"
        )
    refuse_mask(module, attention_mask)
    asked = asked_of(module, options)
    # Autocast leaves queries and keys in float32 where they were rotated.
    query, key, value = (states.squeeze(0).to(value.dtype).contiguous() for states in (query, key, value))
    states = query, key, value
    scaling = scaling or query.shape[2] ** -0.5
    groups, output_index = packed_layout.grouped(asked.span)
    is_short = [asked.is_plain and _is_short(group, query.device, dropout) for group in groups]
    short = [group for group, chosen in zip(groups, is_short, strict=True) if chosen]
    found = iter(attend_groups(states, short, scaling) if short else ())
    outputs = [
        next(found) if chosen else _attend(states, group, scaling, dropout, asked)
        for group, chosen in zip(groups, is_short, strict=True)
    ]
    joined = torch.cat([output.flatten(1, 2) for output in outputs], dim=1)
    # Some models view it as it lies; the others copy it anyway.
    return joined.index_select(1, output_index).transpose(0, 1).contiguous()[None], None


def _is_short(group: Group, device: torch.device, dropout: float) -> bool:
    return device.type == "cpu" and group.keys.shape[1] <= MAX_PLAIN_ATTENTION and not dropout


def _attend(
    states: tuple[Tensor, Tensor, Tensor], group: Group, scaling: float, dropout: float, asked: AttentionRequest
) -> Tensor:
    """Attend within each node of a group; return [heads, nodes, longest node, size]."""
    query = gather(states[0], group.queries)
    key, value = (for_query_heads(gather(taken, group.keys), len(query)) for taken in states[1:])
    if not asked.is_plain:
        return attend_by_scores((query, key, value), group.bias().to(query.device), scaling, asked, dropout)
    mask = None if group.mask is None else group.mask[None]
    return scaled_dot_product_attention(
        query, key, value, mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
    )


AttentionInterface.register(ATTENTION, packed_attention)
