"""How far two systems of a study are apart: a t interval and test over seeds that also know how items vary.

A system was trained k times and scored on the same items each time. The mean of the k scores varies for two reasons,
and the variance of a difference is the sum of both:

- other seeds: s²/k on each side, from the scores of the k runs (Welch 1947; the sides are independent runs);
- other items: the variance of the difference of the two means on resampled items, which both sides share.

What differs by item *and* seed is in both parts, so the interval is a little too wide, never too narrow. The quantile
is Student's t with Welch's degrees of freedom of the seeds, which lie between k - 1 and 2 (k - 1). Resampling three
seeds instead would take their spread for known, and for (k - 1)/k of what it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.runs.records import Array, Score, same_items

MIN_SEEDS = 3
"""Below it nothing is tested: two runs say next to nothing of how runs vary, one says nothing."""


_ROUNDING = 1e-12


@dataclass(frozen=True)
class SystemDifference:
    """How far the means over the seeds of two systems are apart.

    Attributes:
        low: lower end of the 95 % interval over items and seeds (over items alone, where a side is one run of one
            seed); None where the two did not answer the same items, or items do not vary.
        high: its upper end.
        p: of the two-sided test that there is no difference; None below `MIN_SEEDS` or without an interval.
        p_holm: corrected for all differences of this kind on this task and metric.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Side:
    """A system's scores by seed, and their values on resampled items by seed; none where they are not there.

    Attributes:
        is_trained: whether each seed is a training run of its own; the model that all start from is one model.
    """

    scores: Sequence[Score]
    resamples: Sequence[Array]
    is_trained: bool = True

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean([score.value for score in self.scores]))

    @property
    def variance(self) -> float:
        """Return the variance of the mean over the seeds; 0 where it is unknown, or where nothing was trained."""
        values = [score.value for score in self.scores]
        return float(np.var(values, ddof=1)) / len(values) if self.is_trained and len(values) > 1 else 0.0

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the variance."""
        return len(self.scores) - 1 if self.is_trained else math.inf


def difference(ours: Side, theirs: Side) -> SystemDifference:
    """Return the difference of two sides with its interval, and its p-value where there are enough seeds."""
    value = ours.mean - theirs.mean
    of_items = _variance_of_items(ours, theirs)
    if of_items is None:
        return SystemDifference(value)
    num_seeds = min(len(side.scores) for side in (ours, theirs) if side.is_trained)
    freedom = _freedom(ours, theirs) if num_seeds > 1 else math.inf
    error = math.sqrt(ours.variance + theirs.variance + of_items)
    half = _quantile(freedom) * error
    p = _p_value(value, error, freedom) if num_seeds >= MIN_SEEDS else None
    most = 1.0 if _are_shares(ours, theirs) else math.inf
    return SystemDifference(value, max(-most, value - half), min(most, value + half), p)


def _variance_of_items(ours: Side, theirs: Side) -> float | None:
    """Return the variance of the difference over other items; None where it cannot be told from these."""
    sides = (ours, theirs)
    is_whole = all(len(side.resamples) == len(side.scores) for side in sides)
    if not is_whole or len({len(drawn) for side in sides for drawn in side.resamples}) != 1:
        return None
    if not same_items(score for side in sides for score in side.scores):
        return None
    resampled = np.mean(ours.resamples, axis=0) - np.mean(theirs.resamples, axis=0)
    variance = max(float(np.var(resampled)), _least_variance(ours, theirs))
    # Where neither score varies with the items, and it is no share, nothing is known of how it would with others.
    is_known = any(np.ptp(np.mean(side.resamples, axis=0)) > _ROUNDING for side in sides)
    return variance if is_known or ours.mean == theirs.mean or _are_shares(ours, theirs) else None


def _least_variance(ours: Side, theirs: Side) -> float:
    """Return the variance below which no difference of shares is known: where all items agree, resamples have none.

    It is Agresti and Min's (2005) for two systems that differ on no more items than they have to.
    """
    if not _are_shares(ours, theirs):
        return 0.0
    n, value = ours.scores[0].n, ours.mean - theirs.mean
    return (abs(value) * n + 1) / (n + 2) ** 2 - (value * n / (n + 2)) ** 2 / (n + 2)


def _are_shares(ours: Side, theirs: Side) -> bool:
    return all(score.interval == "wilson" for side in (ours, theirs) for score in side.scores)


def _freedom(ours: Side, theirs: Side) -> float:
    """Return Welch's degrees of freedom of the two sides' seeds; the smaller side's where no seed differs."""
    parts = sum(side.variance**2 / side.freedom for side in (ours, theirs))
    least = min(ours.freedom, theirs.freedom)
    # Never below it; the rounding of tiny variances could say so.
    return max((ours.variance + theirs.variance) ** 2 / parts, least) if parts else least


def _quantile(freedom: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(0.975) if math.isinf(freedom) else stdtrit(freedom, 0.975))


def _p_value(value: float, error: float, freedom: float) -> float:
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if value == 0 else 0.0
    return min(1.0, 2 * float(stdtr(freedom, -abs(value) / error)))
