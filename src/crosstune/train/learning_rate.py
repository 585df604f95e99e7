"""The learning rate: a function of the step alone, so that a resumed run needs no scheduler state."""

import math

from crosstune.recipe import Phase


def num_warmup_steps(phase: Phase, num_steps: int) -> int:
    """Return over how many steps the learning rate rises."""
    return round(phase.warmup_ratio * num_steps)


def learning_rate(phase: Phase, step: int, num_steps: int) -> float:
    """Return the learning rate of a step, counted from 0: linear warmup, then the stage's schedule down to 0."""
    warmup = num_warmup_steps(phase, num_steps)
    if step < warmup:
        return phase.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    if phase.schedule == "cosine":
        return phase.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    if phase.schedule == "linear":
        return phase.learning_rate * (1 - done)
    return phase.learning_rate
