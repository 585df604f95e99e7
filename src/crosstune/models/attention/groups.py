"""How the stretches of a packed row attend: in groups of similar length, each by one kernel, padded there only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crosstune.models.attention.asked import EVERYTHING, Span
from crosstune.models.attention.short_rows import Group

# A group of nodes is padded to its longest, in attention only; longer than this times the shortest starts a new group.
MAX_LENGTH_RATIO = 1.3
_SLACK_TOKENS = 8


@dataclass(frozen=True)
class Node:
    """A stretch of the packed row: its own tokens and the stretch it continues."""

    start: int
    length: int
    path: np.ndarray  # packed positions of all tokens before this node's own


def group(
    nodes: Sequence[Node], num_tokens: int, device: torch.device | None, span: Span = EVERYTHING
) -> tuple[tuple[Group, ...], Tensor]:
    """Gather nodes of similar length into groups, and return where each packed position's output will be.

    Rows of 3, 30 and 2 tokens: the short ones are padded to 3 and attend together, the long one alone. The kernel's
    outputs are 2 x 3 of the short rows, by length, and 30: the first packed token's is the fourth.

    >>> nothing = np.empty(0, np.int64)
    >>> groups, output_index = group([Node(0, 3, nothing), Node(3, 30, nothing), Node(33, 2, nothing)], 35, None)
    >>> groups[0].queries.tolist()
    [[33, 34, 34], [0, 1, 2]]
    >>> output_index[[0, 1, 2, 3, 32, 33, 34]].tolist()
    [3, 4, 5, 6, 35, 0, 1]
    """
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
        groups.append(_make_group(members, longest, device, span))
        offset += len(members) * longest
        first = last
    return tuple(groups), torch.from_numpy(output_index).to(device)


def _similar(shorter: Node, longer: Node) -> bool:
    same_kind = (len(shorter.path) > 0) == (len(longer.path) > 0)
    return same_kind and longer.length <= MAX_LENGTH_RATIO * shorter.length + _SLACK_TOKENS


def _make_group(members: list[Node], longest: int, device: torch.device | None, span: Span) -> Group:
    steps = np.arange(longest)
    lengths = np.array([node.length for node in members])
    # Padded queries repeat the node's last token; their outputs are never read.
    starts = np.array([node.start for node in members])
    queries = starts[:, None] + np.minimum(steps[None, :], lengths[:, None] - 1)
    paths = np.array([len(node.path) for node in members])
    if not paths.any() and span == EVERYTHING:
        index = torch.from_numpy(queries).to(device)
        return Group(index, index, None)
    keys = np.zeros((len(members), int((paths + lengths).max())), np.int64)
    for row, node in enumerate(members):
        keys[row, : len(node.path)] = node.path
        keys[row, len(node.path) : len(node.path) + node.length] = queries[row, : node.length]
    # Query i of a node stands behind its path: of keys 0 .. path + i it sees those in its span. Padded keys come later,
    # so no query sees them: the place of padded queries is kept inside the node.
    place = paths[:, None] + np.minimum(steps[None, :], lengths[:, None] - 1)
    mask = span.sees(place[:, :, None], np.arange(keys.shape[1])[None, None, :])
    return Group(
        torch.from_numpy(queries).to(device),
        torch.from_numpy(keys).to(device),
        torch.from_numpy(mask).to(device),
    )
