"""Sums in float64, on devices that have it and on those that do not."""

import torch
from torch import Tensor

# Apple's MPS has no float64 at all, and not every other accelerator does.
_DEVICES_WITH_FLOAT64 = ("cpu", "cuda")


def in_float64(values: Tensor) -> Tensor:
    """Return values in float64: on their device, or on the CPU where the device has no such numbers."""
    if values.device.type not in _DEVICES_WITH_FLOAT64:
        # First moved, then converted: in one call the device itself may be asked to convert.
        values = values.to("cpu")
    return values.to(torch.float64)
