"""Packed rows: many token rows in one forward pass, without padding, with shared prefixes computed once.

A batch is laid out as one long row. Rows that start with the same tokens (the instruction of 200,302 translation pairs,
a question with its four answers) form a tree: the shared prefix stands once, and every continuation attends to that
prefix and to itself only, with positions counted along the path. Models see it through transformers' public interface:
position ids, an attention function registered by name, and a keyword argument that transformers hands through to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from crosstune.models.attention.short_rows import Group, attend_groups, for_query_heads, gather
from crosstune.models.prefixes import runs_with_shared_prefix, with_copies

ATTENTION = "crosstune_packed"
# A group of nodes is padded to its longest, in attention only; longer than this times the shortest starts a new group.
MAX_LENGTH_RATIO = 1.3
_SLACK_TOKENS = 8
# On CPUs the fused kernel costs several times the plain products up to about this many keys. Forward and backward of 32
# rows of 40 tokens, 6 heads, one core with AVX-512: 38 against 2.5 ms in float32; of 8 rows of 256: 29 against 33 ms.
MAX_PLAIN_ATTENTION = 192


@dataclass(frozen=True)
class _Node:
    """A stretch of the packed row: its own tokens and the stretch it continues."""

    start: int
    length: int
    path: np.ndarray  # packed positions of all tokens before this node's own


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
    nodes: tuple[_Node, ...]
    stretch: Tensor
    continued: Tensor

    @property
    def num_tokens(self) -> int:
        """Return the packed length: the tokens that are computed."""
        return self.input_ids.shape[1]

    @property
    def longest_path(self) -> int:
        """Return the tokens of the longest row."""
        return max(len(node.path) + node.length for node in self.nodes)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return how attention is computed by one kernel per group of similar stretches."""
        return self._grouped[0]

    @property
    def output_index(self) -> Tensor:
        """Return where each packed position's output stands in the concatenated, padded outputs of the groups."""
        return self._grouped[1]

    @cached_property
    def _grouped(self) -> tuple[tuple[Group, ...], Tensor]:
        return _group(self.nodes, self.num_tokens, self.input_ids.device)


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
    """
    runs = runs_with_shared_prefix(rows) if share_prefixes else [(0, [index]) for index in range(len(rows))]
    if max_continuing is not None:
        runs = [part for run in runs for part in with_copies(run, rows, max_continuing)]
    tokens: list[int] = []
    positions: list[int] = []
    nodes: list[_Node] = []
    token_positions: list[np.ndarray] = [np.empty(0, np.int64)] * len(rows)

    def add(piece: Sequence[int], path: np.ndarray) -> np.ndarray:
        nodes.append(_Node(len(tokens), len(piece), path))
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
        add([0] * num_lacking, nothing)
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


def _group(nodes: Sequence[_Node], num_tokens: int, device: torch.device | None) -> tuple[tuple[Group, ...], Tensor]:
    """Gather nodes of similar length into groups, and return where each packed position's output will be."""
    # Continuations of a prefix need a mask, other nodes do not: they are kept apart.
    order = sorted(range(len(nodes)), key=lambda index: (len(nodes[index].path) > 0, nodes[index].length))
    groups: list[Group] = []
    output_index = np.empty(num_tokens, np.int64)
    offset, first = 0, 0
    for last in range(1, len(order) + 1):
        if last < len(order) and _similar(nodes[order[first]], nodes[order[last]]):
            continue
        members = [nodes[index] for index in order[first:last]]
        longest = max(node.length for node in members)
        for row, node in enumerate(members):
            begin = offset + row * longest
            output_index[node.start : node.start + node.length] = np.arange(begin, begin + node.length)
        groups.append(_make_group(members, longest, device))
        offset += len(members) * longest
        first = last
    return tuple(groups), torch.from_numpy(output_index).to(device)


def _similar(shorter: _Node, longer: _Node) -> bool:
    same_kind = (len(shorter.path) > 0) == (len(longer.path) > 0)
    return same_kind and longer.length <= MAX_LENGTH_RATIO * shorter.length + _SLACK_TOKENS


def _make_group(members: list[_Node], longest: int, device: torch.device | None) -> Group:
    steps = np.arange(longest)
    lengths = np.array([node.length for node in members])
    # Padded queries repeat the node's last token; their outputs are never read.
    starts = np.array([node.start for node in members])
    queries = starts[:, None] + np.minimum(steps[None, :], lengths[:, None] - 1)
    paths = np.array([len(node.path) for node in members])
    if not paths.any():
        index = torch.from_numpy(queries).to(device)
        return Group(index, index, None)
    keys = np.zeros((len(members), int((paths + lengths).max())), np.int64)
    for row, node in enumerate(members):
        keys[row, : len(node.path)] = node.path
        keys[row, len(node.path) : len(node.path) + node.length] = queries[row, : node.length]
    # Query i of a node stands behind its path: it sees keys 0 .. path + i. Padded keys come later, so no query sees
    # them: the limit of padded queries is kept inside the node.
    limit = paths[:, None] + np.minimum(steps[None, :], lengths[:, None] - 1)
    mask = np.arange(keys.shape[1])[None, None, :] <= limit[:, :, None]
    return Group(
        torch.from_numpy(queries).to(device),
        torch.from_numpy(keys).to(device),
        torch.from_numpy(mask).to(device),
    )


def _packed_attention(  # noqa: PLR0913 - the signature is transformers'
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
            f"attention {ATTENTION!r} was called without a layout: {type(module).__name__} does not hand keyword "
            "arguments through to its attention, so this model cannot be trained packed"
        )
    refuse_other_attention(module, packed_layout, options)
    # Autocast leaves queries and keys in float32 where they were rotated.
    query, key, value = (states.squeeze(0).to(value.dtype).contiguous() for states in (query, key, value))
    states = query, key, value
    scaling = scaling or query.shape[2] ** -0.5
    is_plain = [_is_plain(group, query.device, dropout) for group in packed_layout.groups]
    short = [group for group, plain in zip(packed_layout.groups, is_plain, strict=True) if plain]
    found = iter(attend_groups(states, short, scaling) if short else ())
    outputs = [
        next(found) if plain else _attend(states, group, scaling, dropout)
        for group, plain in zip(packed_layout.groups, is_plain, strict=True)
    ]
    joined = torch.cat([output.flatten(1, 2) for output in outputs], dim=1)
    return joined.index_select(1, packed_layout.output_index).transpose(0, 1)[None], None


def _is_plain(group: Group, device: torch.device, dropout: float) -> bool:
    return device.type == "cpu" and group.keys.shape[1] <= MAX_PLAIN_ATTENTION and not dropout


def _attend(states: tuple[Tensor, Tensor, Tensor], group: Group, scaling: float, dropout: float) -> Tensor:
    """Attend within each node of a group by the fused kernel; return [heads, nodes, longest node, size]."""
    query = gather(states[0], group.queries)
    key, value = (for_query_heads(gather(taken, group.keys), len(query)) for taken in states[1:])
    mask = None if group.mask is None else group.mask[None]
    return scaled_dot_product_attention(
        query, key, value, mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
    )


def refuse_other_attention(module: nn.Module, layout: Layout, options: dict[str, Any]) -> None:
    """Stop where full causal attention would not be what the model was trained with."""
    if options.get("softcap") is not None:
        raise ValueError(
            f"{type(module).__name__} caps its attention scores (softcap), which packed attention cannot do"
        )
    window = options.get("sliding_window")
    longest = layout.longest_path
    if window is not None and longest > window:
        raise ValueError(
            f"{type(module).__name__} attends within {window} tokens, but a row has {longest}: "
            f"set max_length_tokens to {window} or less"
        )


AttentionInterface.register(ATTENTION, _packed_attention)
