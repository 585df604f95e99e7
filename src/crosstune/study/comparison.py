"""What a study found: every cell's scores as mean and spread over seeds, and its difference to the reference cell."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstune.report.scores import Resamples, Scores, read_resamples, read_scores
from crosstune.study.run import folder_of
from crosstune.study.settings import Study, StudyRun

CSV_COLUMNS = (
    "cell",
    "system",
    "task",
    "metric",
    "mean",
    "sd",
    "num_seeds",
    "n",
    "difference",
    "low",
    "high",
)  # fmt: skip
_SEED = 12345


@dataclass(frozen=True)
class Finding:
    """One system's score on one task in one cell.

    Attributes:
        values: by seed.
        difference: of the means, to the same system in the reference cell; None there.
        low: lower end of the difference's 95 % interval; None where items were not resampled alike.
        high: its upper end.
        n: items.
    """

    cell: str
    system: str
    task: str
    metric: str
    values: tuple[float, ...]
    difference: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Return the standard deviation over the seeds; None with one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class _Found:
    """The scores of a cell's runs, one entry per seed."""

    scores: list[Scores]
    resamples: list[Resamples]


def compare(study: Study, runs: Sequence[StudyRun]) -> list[Finding]:
    """Read the scores of finished runs and set every cell beside the reference cell."""
    found = {cell: _Found([], []) for cell in study.cells}
    for run in runs:
        found[run.cell].scores.append(read_scores(run.recipe, folder_of(run)))
        found[run.cell].resamples.append(read_resamples(run.recipe, folder_of(run)))
    base = runs[0].recipe.evaluate.reference_system
    findings = [
        _finding(found, study, cell, key)
        for cell, content in found.items()
        for key in content.scores[0]
        if key[0] in study.systems or (key[0] == base and cell == study.reference)
    ]
    return findings


def _finding(found: Mapping[str, _Found], study: Study, cell: str, key: tuple[str, str, str]) -> Finding:
    values = tuple(scores[key].value for scores in found[cell].scores)
    reference = found[study.reference]
    difference = low = high = None
    if cell != study.reference and all(key in scores for scores in reference.scores):
        difference = float(np.mean(values) - np.mean([scores[key].value for scores in reference.scores]))
        ours, theirs = (
            [resamples[key] for resamples in content.resamples if key in resamples]
            for content in (found[cell], reference)
        )
        if len(ours) == len(values) and len(theirs) == len(reference.scores):
            low, high = difference_interval(ours, theirs)
    return Finding(cell, *key, values, difference, low, high, found[cell].scores[0][key].n)


def difference_interval(
    ours: Sequence[NDArray[np.float64]], theirs: Sequence[NDArray[np.float64]]
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the difference of two cells' means, over items and seeds.

    Each side holds, by seed, a score's values on the same resamples of the items. In every resample as many seeds as
    there are are drawn anew, too, on each side by itself: the interval covers what other items and other seeds would
    have given (two-level bootstrap; Bouthillier et al. 2021, https://arxiv.org/abs/2103.03098).
    """
    sizes = {len(values) for values in (*ours, *theirs)}
    if len(sizes) != 1:
        return None, None
    generator = np.random.default_rng(_SEED)
    means = []
    for side in (ours, theirs):
        values = np.stack(side)
        seeds = generator.integers(len(side), size=values.shape)
        means.append(np.take_along_axis(values, seeds, axis=0).mean(axis=0))
    low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
    return float(low), float(high)


def to_csv(findings: Sequence[Finding]) -> str:
    """Return one row per finding, at full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_row(finding) for finding in findings)
    return stream.getvalue()


def _csv_row(finding: Finding) -> tuple[Any, ...]:
    what = (finding.cell, finding.system, finding.task, finding.metric)
    return (
        *what,
        finding.mean,
        finding.sd,
        len(finding.values),
        finding.n,
        finding.difference,
        finding.low,
        finding.high,
    )
