"""metrics.jsonl: one row per logged step, loss by source, and bits per byte, which compares across tokenizers."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.artifacts import write_jsonl
from crosstune.train.position import Position, Totals
from crosstune.train.rows import Row


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

    def begin_at(self, position: Position) -> None:
        """Keep the rows up to a position: the steps behind it are done again."""
        write_jsonl(self.path, [row for row in self._rows() if Position(row["stage"], row["step"]) <= position])

    def append(self, stage: int, batch: Sequence[Row], totals: Totals, result: StepResult) -> None:
        """Write the row of a step."""
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
