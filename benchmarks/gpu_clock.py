"""How the GPU's benchmark times steps."""

import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


class Clock:
    """Times steps as `trainers.Turn` does, without waiting for turns.

    A step lasts from the end of the one before it to its own, as the trainer's own thread sees them: between steps
    nobody waits for the device, as in training, but at the borders of what is timed. With a path for a profile, the
    first step behind the warm-up is profiled in the place of being timed.

    Raises:
        TimeoutError: out of the training, after so many seconds and at least one step behind the warm-up.
    """

    def __init__(self, num_warmup_steps: int, limit_seconds: float, profile: Path | None) -> None:
        self.num_untimed = num_warmup_steps + (profile is not None)
        self.limit_seconds, self.profile = limit_seconds, profile
        self.steps: list[dict[str, float]] = []
        self.ended = time.perf_counter()

    def begin(self) -> None:
        is_profiled = self.profile is not None and len(self.steps) == self.num_untimed - 1
        self.profiler = profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) if is_profiled else None
        if self.profiler:
            self.profiler.start()

    def end(self, loss: float) -> None:
        if self.profiler and self.profile:
            wait_for_device()
            self.profiler.stop()
            averages = self.profiler.key_averages()
            self.profile.write_text(averages.table(sort_by="self_device_time_total", row_limit=80))
        is_timed = len(self.steps) >= self.num_untimed
        spent = sum(step["seconds"] for step in self.timed) + time.perf_counter() - self.ended
        is_last = is_timed and spent > self.limit_seconds
        if is_last or not is_timed:
            wait_for_device()
        now = time.perf_counter()
        self.steps.append({"loss": loss, "seconds": now - self.ended})
        self.ended = now
        if is_last:
            raise TimeoutError

    @property
    def timed(self) -> list[dict[str, float]]:
        return self.steps[self.num_untimed :]


def wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
