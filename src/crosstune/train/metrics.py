"""Files of rows by step, as metrics.jsonl: loss by source and language, and bits per byte, for any tokenizer."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.runs.files import write_jsonl
from crosstune.tokens.bits_per_byte import bits_per_byte
from crosstune.train.batches import Batch
from crosstune.train.error_messages import disk_advice
from crosstune.train.position import Position, Totals
from crosstune.train.row_index import Corpus


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did.

    Attributes:
        nats: summed loss of the global batch by language and source.
        grad_norm: before clipping.
        learning_rate: of this step.
        is_asked_to_stop: whether any rank was asked to stop after it.
        preference: means over the pairs of the global batch; empty where rows are no pairs.
    """

    nats: dict[Corpus, float]
    grad_norm: float
    learning_rate: float
    is_asked_to_stop: bool = False
    preference: Mapping[str, float] = field(default_factory=dict)


class MetricsFile:
    """A file of rows, each with its phase and step; a resumed run cuts what was written after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resume_at(self, position: Position | None) -> None:
        """Keep the rows up to a position, since later steps are done again; none where training begins."""
        kept = [row for row in self._rows() if position and Position(row["phase"], row["step"]) <= position]
        write_jsonl(self.path, kept)

    def append(self, row: dict[str, Any]) -> None:
        """Append a row.

        Raises:
            CrosstuneError: when the disk is full.
        """
        with disk_advice(f"a row of {self.path}"), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def has_row_at(self, position: Position) -> bool:
        """Return whether a row of this phase and step was written."""
        return any(Position(row["phase"], row["step"]) == position for row in self._rows())

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


def row_of_step(phase: int, batch: Batch, totals: Totals, result: StepResult) -> dict[str, Any]:
    """Return what ``metrics.jsonl`` says of a step."""
    counts = batch.supervised
    nats = sum(result.nats.values())
    return {
        "phase": phase,
        "step": totals.steps,
        "loss": nats / batch.num_supervised,
        # With the bits of EOS, which is supervised too: not the bits per byte of held-out text.
        "loss_bits_per_byte": bits_per_byte(nats, max(1, batch.num_bytes)),
        "learning_rate": result.learning_rate,
        "grad_norm": result.grad_norm,
        "tokens": totals.tokens,
        "supervised_tokens": totals.supervised_tokens,
        "seconds": round(totals.seconds, 3),
        **({"preference": dict(result.preference)} if result.preference else {}),
        "sources": _grouped(result.nats, counts, lambda corpus: corpus[1]),
        "languages": _grouped(result.nats, counts, lambda corpus: corpus[0]),
    }


def _grouped(
    nats: dict[Corpus, float], counts: dict[Corpus, int], key: Callable[[Corpus], str]
) -> dict[str, dict[str, float]]:
    """Return the loss per supervised token of each group that the step saw, groups in alphabetical order."""
    members = defaultdict(list)
    for corpus, count in counts.items():
        if count:
            members[key(corpus)].append(corpus)
    return {
        group: {
            "loss": sum(nats[corpus] for corpus in members[group]) / sum(counts[corpus] for corpus in members[group]),
            "supervised_tokens": sum(counts[corpus] for corpus in members[group]),
        }
        for group in sorted(members)
    }
