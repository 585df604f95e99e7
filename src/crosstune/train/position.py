"""How far the training of a system has come."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """Steps that are done in a phase; 0 when the phase begins. Positions compare in the order of training."""

    phase: int
    step: int

    @property
    def name(self) -> str:
        """Return the name of its checkpoint folder; names sort in the order of training."""
        return f"phase-{self.phase:02d}-step-{self.step:08d}"


@dataclass
class Totals:
    """What a phase has seen so far; tokens are those of prompts and completions, computed once or several times."""

    steps: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    seconds: float = 0.0
