"""A study's intervals and tests: they cover what they say for any spread over seeds, and no t-test contradicts them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind_from_stats

from crosstune.runs.records import Array, Interval, Score
from crosstune.study.differences import Side, SystemDifference, difference

NUM_ITEMS = 200
NUM_RESAMPLES = 200
DRAWS = np.random.default_rng(7).multinomial(NUM_ITEMS, np.full(NUM_ITEMS, 1 / NUM_ITEMS), size=NUM_RESAMPLES)


def side_of(right: Array, is_trained: bool = True, interval: Interval = "wilson", items: str = "all") -> Side:
    """Return a side from its runs' answers, [seeds, items]."""
    scores = [Score("task", "acc", float(run.mean()), None, None, right.shape[1], "", interval, items) for run in right]
    return Side(scores, [DRAWS @ run / right.shape[1] for run in right], is_trained)


def side(values: Sequence[float], spread_of_items: float = 1e-9, is_trained: bool = True) -> Side:
    """Return a side with these scores, whose resamples spread alike around each of them."""
    items = spread_of_items * np.linspace(-1.7, 1.7, NUM_RESAMPLES)
    scores = [Score("task", "bleu", value, None, None, 250, "", "bootstrap", "all") for value in values]
    return Side(scores, [value + items for value in values], is_trained)


def runs(generator: np.random.Generator, num_seeds: int, sd: float, hardness: Array) -> Array:
    """Draw the answers of runs whose logits differ by item and by seed, [seeds, items]."""
    seeds = generator.normal(1.2, sd, (num_seeds, 1))
    chances = 1 / (1 + np.exp(-(seeds + hardness)))
    return (generator.random(chances.shape) < chances).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("sd", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10])
def test_the_interval_covers_no_difference_for_any_number_and_spread_of_seeds(num_seeds: int, sd: float) -> None:
    generator = np.random.default_rng([num_seeds, round(100 * sd)])
    found = []
    for _ in range(400):
        hardness = generator.normal(0, 1.5, NUM_ITEMS)
        ours, theirs = (side_of(runs(generator, num_seeds, sd, hardness)) for _ in range(2))
        found.append(difference(ours, theirs))
    covered = np.mean([one.low <= 0 <= one.high for one in found if one.low is not None and one.high is not None])
    assert covered >= 0.935
    marked = [one.p for one in found if one.p is not None]
    assert len(marked) == (400 if num_seeds >= 3 else 0)
    assert not marked or np.mean(np.array(marked) < 0.05) <= 0.065


@pytest.mark.slow
def test_against_the_one_model_that_all_start_from_the_interval_covers_too() -> None:
    generator = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        hardness = generator.normal(0, 1.5, NUM_ITEMS)
        base = np.repeat(runs(generator, 1, 0.0, hardness), 3, axis=0)
        ours = side_of(runs(generator, 3, 0.5, hardness))
        expected = float(
            np.mean(1 / (1 + np.exp(-generator.normal(1.2, 0.5, 20000) - generator.normal(0, 1.5, 20000))))
        )
        of_base = float(np.mean(1 / (1 + np.exp(-1.2 - generator.normal(0, 1.5, 20000)))))
        one = difference(ours, side_of(base, is_trained=False))
        assert one.low is not None and one.high is not None
        covered.append(one.low <= expected - of_base <= one.high)
    assert np.mean(covered) >= 0.935


VALUES = st.lists(st.floats(0, 100).map(lambda value: round(value, 2)), min_size=3, max_size=6)


@pytest.mark.slow
@given(VALUES, VALUES, st.floats(1e-9, 5))
def test_nothing_is_marked_that_welchs_test_denies(ours: list[float], theirs: list[float], of_items: float) -> None:
    found = difference(side(ours, of_items), side(theirs, of_items / 2))
    if np.var(ours) + np.var(theirs) == 0:
        return  # Welch's test does not exist
    statistics = [
        of(values) for values in (ours, theirs) for of in (np.mean, lambda sample: np.std(sample, ddof=1), len)
    ]
    welch = float(ttest_ind_from_stats(*statistics, equal_var=False).pvalue)
    assert found.p is not None and found.p >= welch - 1e-9
    if of_items < 1e-6:
        assert found.p == pytest.approx(welch, abs=1e-6)


def test_three_seeds_far_apart_are_no_proof_however_sure_the_items_are() -> None:
    # The scores of random new rows and of the mean of subwords in recipes/ablations, Welch p = 0.11.
    found = difference(side([36.0, 54.0, 57.6]), side([29.0, 31.3, 33.6]))
    assert found.value == pytest.approx(17.9) and found.p is not None and found.p > 0.05
    assert found.low is not None and found.low < 0
    near = difference(side([49.0, 49.2, 49.4]), side([31.2, 31.3, 31.4]))
    assert near.p is not None and near.p < 0.001 and near.low is not None and near.low > 17


def test_below_three_seeds_nothing_is_tested() -> None:
    one, two, three = (side([50.0 + seed for seed in range(number)], 1.0) for number in (1, 2, 3))
    for ours, theirs in ((one, one), (two, two), (two, three), (three, two)):
        found = difference(ours, theirs)
        assert found.p is None and found.low is not None
    # One run of each: the items alone, as far as a normal quantile; two: t with few degrees of freedom.
    (alone, apart) = difference(one, side([40.0])), difference(two, side([40.0, 40.0]))
    assert alone.high is not None and alone.low is not None and alone.high - alone.low < 4.1
    assert apart.high is not None and apart.low is not None and apart.high - apart.low > 12


def test_systems_that_answered_other_items_have_no_interval() -> None:
    right = np.random.default_rng(1).integers(0, 2, (3, NUM_ITEMS)).astype(float)
    ours = side_of(right)
    assert difference(ours, side_of(right)).low is not None
    assert difference(ours, side_of(right, items="others, as many")) == SystemDifference(0.0)
    unknown = replace(ours, scores=[replace(score, items="") for score in ours.scores])
    assert difference(unknown, unknown) == SystemDifference(0.0)
    one_seed = replace(ours, scores=[*ours.scores[:2], replace(ours.scores[2], items="others")])
    assert difference(one_seed, side_of(right)) == SystemDifference(0.0)
    shorter = replace(ours, resamples=[drawn[:10] for drawn in ours.resamples])
    assert difference(shorter, side_of(right)) == SystemDifference(0.0)
    assert difference(replace(ours, resamples=[]), side_of(right)) == SystemDifference(0.0)


def test_shares_that_are_all_or_nothing_are_not_certain() -> None:
    everything, nothing = (side_of(np.full((3, NUM_ITEMS), value)) for value in (1.0, 0.0))
    found = difference(everything, nothing)
    assert found.value == 1 and found.high == 1 and found.low is not None and 0.95 < found.low < 0.99
    same = difference(everything, everything)
    assert same.low is not None and same.low < 0 and same.p == 1


def test_items_that_do_not_vary_say_nothing_of_a_score_that_is_no_share() -> None:
    assert difference(side([3.0] * 3, 0.0), side([1.0] * 3, 0.0)) == SystemDifference(2.0)
    assert difference(side([3.0, 3.1, 3.2], 0.0), side([3.0] * 3, 0.0)).p is None
    assert difference(side([3.0] * 3, 0.0), side([3.0] * 3, 0.0)).p == 1
