"""What metrics.jsonl says of a step."""

import numpy as np
import pytest

from crosstune.train.batches import Share, make_batch
from crosstune.train.metrics import StepResult, row_of_step
from crosstune.train.position import Totals
from crosstune.train.rows import Row, Rows, Segment


def row(num_supervised: int, language: str, source: str) -> Row:
    return (Segment((1, *[7] * num_supervised), 1, 10, language, source),)


def test_a_source_of_two_languages_counts_for_both_of_them() -> None:
    rows = [row(4, "en", "news"), row(1, "ko", "news"), row(2, "ko", "novels"), row(1, "ko", "novels")]
    batch = make_batch(Rows.of([*rows, row(1, "ko", "letters")]), 2, np.arange(4), Share(0, 1, 100))
    nats = {("en", "news"): 8.0, ("ko", "news"): 7.0, ("ko", "novels"): 5.0, ("ko", "letters"): 0.0}
    found = row_of_step(0, batch, Totals(steps=3), StepResult(nats, grad_norm=1.0, learning_rate=0.1))
    assert found["loss"] == pytest.approx(20 / 8)
    assert found["sources"] == {
        "news": {"loss": 15 / 5, "supervised_tokens": 5},
        "novels": {"loss": 5 / 3, "supervised_tokens": 3},
    }
    assert found["languages"] == {
        "en": {"loss": 8 / 4, "supervised_tokens": 4},
        "ko": {"loss": 12 / 4, "supervised_tokens": 4},
    }
