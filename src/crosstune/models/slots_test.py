"""The rows of the self-test, continued side by side in slots that are taken, left and taken again."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from crosstune.models.attention.with_cache import Slots
from crosstune.models.layers import inner_model

# What the steps below read of each of the three rows: of the first two, from the first token on that is their own, one
# of which stands behind the other row's.
READ = (np.arange(10, 12), np.arange(10, 13), np.arange(8, 10))


@torch.no_grad()
def read_in_slots(model: nn.Module, rows: Sequence[Sequence[int]], _read: Sequence[np.ndarray]) -> Tensor:
    """Return the logits at the places `READ` of three rows, the first two of which begin alike."""
    first, second, third = rows
    slots = Slots(inner_model(model), len(rows), max(map(len, rows)), _whole)
    begun = slots.join([first[:11], second[:11]])
    step = slots.step([first[11], second[11]])
    joined = slots.join([third[:9]])
    slots.leave(0)  # The third row moves into its slot.
    both = slots.step([third[9], second[12]])
    return torch.cat([begun[:1], step[:1], begun[1:], step[1:], both[1:], joined, both[:1]])


def _whole(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts), dim=1)
