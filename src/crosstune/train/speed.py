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
# A matrix of 1 MB in float32: two of them stay near one core, and a product takes 2.5 ms.
_SIZE_ON_ONE_CORE = 512


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
    tokens = count_tokens(rows, schedule, num_ranks, settings.micro_batch_tokens, _SAMPLED_STEPS, phase.kept_languages)
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


def gain_of_bf16() -> float:
    """Return how many times as fast as in float32 a core of this processor multiplies matrices in bfloat16: 0.1 s.

    About 2 with AVX512-BF16, more with AMX, 0.4 and less without. It is in CPU time of one thread: by the clock, other
    processes that take the cores away in one of both turns made it 0.2 on a core where it is 2.
    """
    num_threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIZE_ON_ONE_CORE, _SIZE_ON_ONE_CORE, generator=generator) for _ in range(2))
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            # The first one loads the kernel, and is not the fastest.
            for _ in range(1 + _PRODUCTS):
                for dtype in best:
                    pair = left.to(dtype), right.to(dtype)
                    started = time.process_time()
                    torch.nn.functional.linear(*pair)
                    best[dtype] = min(best[dtype], time.process_time() - started)
    finally:
        torch.set_num_threads(num_threads)
    return best[torch.float32] / best[torch.bfloat16]


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
