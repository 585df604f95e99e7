"""How fast training is: useful operations per second, beside what the machine itself reaches in a matrix product."""

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from accelerate import Accelerator

from crosstune.recipe import Phase, Train
from crosstune.train.batches import Schedule
from crosstune.train.cost import count_tokens, flops
from crosstune.train.rows import Rows

_SAMPLED_STEPS = 20
_PRODUCTS = 5


@dataclass(frozen=True)
class Speed:
    """What a phase's speed is measured by.

    Attributes:
        flops_per_step: useful floating-point operations of a step on average, forward and backward.
        matrix_rate: floating-point operations per second of a large matrix product, over all ranks.
    """

    flops_per_step: float
    matrix_rate: float

    def mfu(self, steps: int, seconds: float) -> float:
        """Return the model FLOPs utilisation (Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311), from 0 to 1.

        It is measured against the machine's own matrix rate, not against its maker's figure.
        """
        return self.flops_per_step * steps / seconds / self.matrix_rate


def speed_of(
    model: Any, rows: Rows, schedule: Schedule, phase: Phase, settings: Train, accelerator: Accelerator
) -> Speed:
    """Count a phase's operations and measure the machine's rate."""
    num_ranks = accelerator.num_processes
    tokens = count_tokens(rows, schedule, num_ranks, settings.micro_batch_tokens, _SAMPLED_STEPS)
    dtype = torch.bfloat16 if settings.precision != "float32" else torch.float32
    rate = _rate_in_this_process(accelerator.device, dtype, torch.get_num_threads())
    return Speed(flops(model, tokens, phase) / schedule.num_steps, num_ranks * rate)


@cache
def _rate_in_this_process(device: torch.device, dtype: torch.dtype, num_threads: int) -> float:
    """Return the rate that all phases of a run are compared with: it is the machine's, not theirs."""
    return matrix_rate(device, dtype)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations per second of a large matrix product, the best of a few: under 0.2 s."""
    size = 8192 if device.type == "cuda" else 1024
    # Random numbers, drawn apart from training's own: a GPU clocks higher on equal ones, which cost less power.
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator, device=device, dtype=dtype) for _ in range(2))
    fastest = float("inf")
    with torch.no_grad():
        # The first one loads the kernel.
        for _ in range(1 + _PRODUCTS):
            wait_for(device)
            started = time.perf_counter()
            torch.nn.functional.linear(left, right)
            wait_for(device)
            fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
