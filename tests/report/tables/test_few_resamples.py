"""Tests that cannot find anything are named, so that silence is not read as equality."""

import numpy as np

from crosstune.report.tables.few_resamples import few_resamples
from crosstune.report.tables.significance import Comparison, Test


def one_of(num_pairs: int, test: Test = "paired_bootstrap") -> list[Comparison]:
    return [Comparison("wiki", "word_perplexity", "ours", "base", 90.0, test, 1 / 101, 1.0, num_pairs)]


def test_a_column_in_which_nothing_can_be_significant_is_named() -> None:
    resamples = {("ours", "wiki", "word_perplexity"): np.zeros(100)}
    (group,) = few_resamples(one_of(num_pairs=6), resamples, {"wiki": "WikiText"})
    assert group.lines[0].startswith("100 resamples cannot show a difference after Holm's correction over 6 pairs")
    assert "WikiText (word_perplexity)" in group.lines[0]


def test_a_column_in_which_something_can_be_is_not() -> None:
    resamples = {("ours", "wiki", "word_perplexity"): np.zeros(100)}
    assert not few_resamples(one_of(num_pairs=5), resamples, {})
    assert not few_resamples(one_of(num_pairs=6, test="mcnemar_exact"), resamples, {})
