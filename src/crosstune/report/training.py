"""The loss curves of a run's systems, thinned to what a figure can show."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.report.tables.build import label_of
from crosstune.runs.folder import RunFolder

MAX_POINTS = 160

Points = list[tuple[float, float]]


@dataclass
class Curves:
    """One system's training.

    Attributes:
        loss: step and loss in nats per supervised token; steps count on over the system's phases.
        loss_bits_per_byte: step and loss in bits per byte of supervised text, which compares systems with different
            tokenizers.
        sources: the loss by source of the examples.
        languages: the loss by language of the completions.
        phase_starts: the steps at which a further phase began.
        num_rows: how many logged steps the curves come from.
        validation: step and bits per byte of held-out text by language: once more from where the text, or how much of
            it is read at a time, was changed.
        scores: step and score of the suite, by task and metric: once more from where the tasks, their items or how they
            are asked were changed.
        scored_items: the largest numbers of items of a task that these scores are of; several, where that was changed.
        fingerprints: of what the points of `validation` and of `scores` are of; what is unknown is None.
    """

    system: str
    label: str
    loss: Points = field(default_factory=list)
    loss_bits_per_byte: Points = field(default_factory=list)
    sources: dict[str, Points] = field(default_factory=dict)
    languages: dict[str, Points] = field(default_factory=dict)
    phase_starts: list[float] = field(default_factory=list)
    num_rows: int = 0
    validation: list[dict[str, Points]] = field(default_factory=list)
    scores: list[dict[tuple[str, str], Points]] = field(default_factory=list)
    scored_items: set[int] = field(default_factory=set)
    fingerprints: dict[str, set[Any]] = field(default_factory=lambda: {"validation": set(), "scores": set()})


def read_curves(recipe: Recipe, run: RunFolder) -> list[Curves]:
    """Read the curves of every system that has trained, in the recipe's order.

    Raises:
        RunFolderError: for a line that is not a row of metrics.
    """
    paths = {system: run.system(system) / "metrics.jsonl" for system in recipe.systems}
    curves = [_curves(path, system, label_of(recipe, system)) for system, path in paths.items() if path.exists()]
    for curve in curves:
        _add_evaluations(curve, run.system(curve.system), recipe.train.score_max_items)
    return [curve for curve in curves if curve.loss]


def _add_evaluations(curve: Curves, folder: Path, max_items: int) -> None:
    """Add what was scored while a system trained, apart where points cannot be compared with those before them."""
    for evaluated_as, rows in groupby(_steps(folder / "validation.jsonl", "bits_per_byte", curve), _evaluated_as):
        curve.fingerprints["validation"].add(evaluated_as)
        curve.validation.append({})
        for step, row in rows:
            for language, bits in row["bits_per_byte"].items():
                _add(curve.validation[-1], language, (step, bits))
    for evaluated_as, rows in groupby(_steps(folder / "scores_during_training.jsonl", "scores", curve), _evaluated_as):
        curve.fingerprints["scores"].add(evaluated_as)
        curve.scores.append({})
        for step, row in rows:
            curve.scored_items.add(row.get("max_items", max_items))
            for task, metrics in row["scores"].items():
                for metric, value in metrics.items():
                    _add(curve.scores[-1], (task, metric), (step, value))


def _evaluated_as(point: tuple[float, dict[str, Any]]) -> Any:
    """Return what tells apart how rows were evaluated; earlier versions told the number of items only."""
    return point[1].get("fingerprint", point[1].get("max_items"))


def evaluated_as(curves: Sequence[Curves], what: str) -> set[Any]:
    """Return the fingerprints of what all points of some curves are of: one, where all can be compared."""
    return {fingerprint for curve in curves for fingerprint in curve.fingerprints[what]}


def _steps(path: Path, key: str, curves: Curves) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield step and content of each row, which has a key, if the file is there; steps count on over the phases.

    Where a phase begins is told by the losses: nothing may have been scored in the phases before it.
    """
    # A phase that is scored before its first step is logged begins where the losses end.
    starts = [0.0, *curves.phase_starts, *(step for step, _ in curves.loss[-1:])]
    for row in _rows(path, key) if path.exists() else ():
        yield starts[min(row["phase"], len(starts) - 1)] + row["step"], row


def _add(points: dict[Any, Points], key: Any, point: tuple[float, float]) -> None:
    # A diverged model scores NaN, which no figure can show.
    if math.isfinite(point[1]):
        points.setdefault(key, []).append(point)


def _curves(path: Path, system: str, label: str) -> Curves:
    """Average the rows in bins of equal numbers of rows: single steps are noise, and a figure is 600 points wide."""
    curves = Curves(system, label, num_rows=sum(1 for _ in _rows(path, "loss")))
    rows_per_bin = math.ceil(curves.num_rows / MAX_POINTS) or 1
    sums = _Bin()
    offset, last_step, phase = 0.0, 0.0, None
    for index, row in enumerate(_rows(path, "loss"), start=1):
        if phase is not None and row["phase"] != phase:
            offset += last_step
            curves.phase_starts.append(offset)
        phase, last_step = row["phase"], float(row["step"])
        sums.add(row)
        if index % rows_per_bin == 0 or index == curves.num_rows:
            sums.flush(curves, offset + last_step)
            sums = _Bin()
    return curves


@dataclass
class _Bin:
    """Sums of loss x supervised tokens, so that a bin's mean is the mean over its tokens."""

    weighted: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        sources = row.get("sources") or {}
        # The row's own count is the stage's so far; the sources' counts are this step's.
        weight = sum(facts["supervised_tokens"] for facts in sources.values()) or 1
        self._add("loss", row["loss"], weight)
        self._add("loss_bits_per_byte", row.get("loss_bits_per_byte"), weight)
        for source, facts in sources.items():
            self._add(f"source {source}", facts["loss"], facts["supervised_tokens"])
        for language, facts in (row.get("languages") or {}).items():
            self._add(f"language {language}", facts["loss"], facts["supervised_tokens"])

    def _add(self, key: str, value: float | None, weight: float) -> None:
        # A diverged step logs NaN: it would hide the rest of its bin.
        if value is not None and math.isfinite(value) and weight > 0:
            self.weighted[key] = self.weighted.get(key, 0.0) + value * weight
            self.weights[key] = self.weights.get(key, 0.0) + weight

    def flush(self, curves: Curves, step: float) -> None:
        for key, total in self.weighted.items():
            point = (step, total / self.weights[key])
            if key == "loss":
                curves.loss.append(point)
            elif key == "loss_bits_per_byte":
                curves.loss_bits_per_byte.append(point)
            else:
                kind, _, name = key.partition(" ")
                (curves.sources if kind == "source" else curves.languages).setdefault(name, []).append(point)


def _rows(path: Path, key: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # Training is writing this very line, or was stopped in it; on resuming it writes it again.
            try:
                row = json.loads(line)
                row["phase"], row["step"], row[key]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise RunFolderError(
                    f"{path}:{number}: expected a JSON object with `phase`, `step` and `{key}`, found {line[:80]!r} "
                    f"({error!r}); remove the line, and the curves lack that step; or delete {path.parent} and run "
                    "`crosstune train RECIPE` again"
                ) from None
            yield row
