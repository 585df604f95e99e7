"""What becomes of the hours: preparing data and tokenizer, scoring two systems, and training with the rest."""

from dataclasses import dataclass

import torch

from crosstune.init.scoring import ScoringPlan
from crosstune.init.sources import Sources
from crosstune.init.speed import Pace

# Of the hours, at most; training gets what is left.
SHARE_FOR_SCORING = 0.3
# Of what is left: estimates are estimates.
_SHARE_OF_THE_REST = 0.9
# Starting, loading models, proving how they are read, and the report; and rows that are read, checked and compared.
_STARTING_SECONDS = 60.0
_ROWS_A_SECOND = 3000.0


@dataclass(frozen=True)
class Budget:
    """The time of a run in seconds, and how fast the machine is.

    Attributes:
        preparing: until training begins, and the report at the end.
    """

    hours: float
    speed: Pace
    preparing: float
    scored: ScoringPlan

    @property
    def for_training(self) -> float:
        """What is left for training."""
        return max(0.0, _SHARE_OF_THE_REST * (self.hours * 3600 - self.preparing - self.scored.seconds))

    @property
    def left_out(self) -> str:
        """Say which tasks are not scored, what they would take, and why; empty where all are."""
        return ", ".join(
            f"{label} (at least {minutes(60 * most)}; {self.scored.why_left_out(label)})"
            for label, most in self.scored.too_long.items()
        )


def seconds_to_prepare(chosen: Sources, speed: Pace) -> float:
    """Return what reading the sources and learning pieces takes, on one core or what others leave of it."""
    num_rows = sum(file.rows for file in chosen.files.values())
    return (_STARTING_SECONDS + num_rows / _ROWS_A_SECOND) / min(1.0, speed.share_of_cores * torch.get_num_threads())


def minutes(seconds: float) -> str:
    """Return a time in words: seconds under two minutes, minutes under two hours."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
