"""metrics.jsonl: one row per logged step, loss by source, and bits per byte, which compares across tokenizers."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.train.checkpoint import Position
from crosstune.train.rows import Row


@dataclass
class Totals:
    """What a stage has seen so far."""

    steps: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class StepResult:
    """What one optimiser step did.

    Attributes:
        nats: summed loss of the global batch by source.
        grad_norm: before clipping.
        learning_rate: of this step.
    """

    nats: dict[str, float]
    grad_norm: float
    learning_rate: float


class MetricsFile:
    """Appends rows; a resumed run cuts what lies behind its checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin_at(self, position: Position) -> Totals:
        """Keep the rows before a position and return the totals of its stage up to there."""
        kept = [row for row in self._rows() if (row["stage"], row["step"]) <= (position.stage, position.step)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        last = next((row for row in reversed(kept) if row["stage"] == position.stage), None)
        if last is None:
            return Totals()
        return Totals(position.step, last["tokens"], last["supervised_tokens"], last["seconds"])

    def append(self, stage: int, batch: Sequence[Row], totals: Totals, result: StepResult) -> float:
        """Write the row of a step, and return its loss in nats per supervised token."""
        counts = dict.fromkeys(result.nats, 0)
        num_bytes = 0
        for row in batch:
            for segment in row:
                counts[segment.source] += segment.num_supervised
                num_bytes += segment.num_bytes
        nats = sum(result.nats.values())
        row_of_step: dict[str, Any] = {
            "stage": stage,
            "step": totals.steps,
            "loss": nats / sum(counts.values()),
            "bits_per_byte": nats / math.log(2) / max(1, num_bytes),
            "learning_rate": result.learning_rate,
            "grad_norm": result.grad_norm,
            "tokens": totals.tokens,
            "supervised_tokens": totals.supervised_tokens,
            "seconds": round(totals.seconds, 3),
            "sources": {
                source: {"loss": result.nats[source] / count, "supervised_tokens": count}
                for source, count in counts.items()
                if count
            },
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row_of_step) + "\n")
        return float(row_of_step["loss"])

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:  # the line that a kill cut short; its step is done again
                break
        return rows
