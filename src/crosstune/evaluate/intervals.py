"""Intervals over items: Wilson's of a share of items, the percentile bootstrap of everything else.

The bootstrap is computed from sums of per-item statistics. All systems are resampled alike, item for item, so that the
difference of two systems' resamples is the paired bootstrap of their difference (Koehn 2004,
https://aclanthology.org/W04-3250/).
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from crosstune.runs.records import Array

NORMAL_97_5 = 1.959963984540054
SEED = 12345  # one seed for all: tasks with equally many items are resampled alike


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return Wilson's (1927) 95 % interval of a share, ``successes`` of ``n``.

    The bootstrap gives [1, 1] where all items are right, and covers 0.65 of the time at a true share of 0.99 of 100.
    A half success, as a tie is, has less variance than the interval allows for: it covers more often than it says.
    """
    share, square = successes / n, NORMAL_97_5**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_97_5 * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    # Rounding leaves 1e-17 where nothing or everything is right.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)


def resample(item_statistics: Array, statistic: Callable[[Array], Array], num_bootstrap: int) -> Array:
    """Return a statistic of sums over resampled items, [num_bootstrap].

    Shapes: item_statistics [items, k]; statistic maps sums [resamples, k] to values [resamples].
    """
    return statistic(resampled_sums(item_statistics, num_bootstrap))


def interval(resamples: Array) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of a resampled statistic."""
    low, high = np.percentile(resamples, [2.5, 97.5])
    return float(low), float(high)


def resampled_sums(item_statistics: Array, num_bootstrap: int) -> Array:
    """Draw items with replacement and return the sums of their statistics, [num_bootstrap, k]."""
    # A resample is how often each item was drawn: the sums are then one matrix product.
    return np.concatenate([counts @ item_statistics for counts in draws(len(item_statistics), num_bootstrap)])


def draws(num_items: int, num_bootstrap: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each item is drawn, [some resamples, items], until there are ``num_bootstrap`` resamples."""
    generator = np.random.default_rng(SEED)
    # 64 at a time, because 1,000 resamples of HellaSwag's 10,042 items would be 80 MB.
    for first in range(0, num_bootstrap, 64):
        size = min(64, num_bootstrap - first)
        yield generator.multinomial(num_items, np.full(num_items, 1 / num_items), size=size)
