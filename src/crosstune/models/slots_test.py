"""The rows of the self-test, continued side by side in slots that are taken, left and taken again."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from crosstune.models.attention.with_cache import Slots
from crosstune.models.plain import inner_model

# What the steps below read of each of the three rows.
READ = (np.arange(11, 14), np.arange(13, 16), np.arange(8, 16))


@torch.no_grad()
def read_in_slots(model: nn.Module, rows: Sequence[Sequence[int]], _read: Sequence[np.ndarray]) -> Tensor:
    """Return the logits at the places `READ` of three rows, the first two of which begin alike."""
    first, second, third = rows
    slots = Slots(inner_model(model), len(rows), max(map(len, rows)), _whole)
    begun = slots.join([first[:12], second[:14]])
    step = slots.step([first[12], second[14]])
    joined = slots.join([third[:9]])
    all_three = slots.step([first[13], second[15], third[9]])
    slots.leave(0)  # The third row moves into its slot.
    slots.leave(1)
    rest = [slots.step([token]) for token in third[10:16]]
    found = [begun[:1], step[:1], all_three[:1], begun[1:], step[1:], all_three[1:2], joined, all_three[2:], *rest]
    return torch.cat(found)


def _whole(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts), dim=1)
