"""The learning rate depends on the step alone."""

import json
from typing import Any

import pytest

from crosstune.recipe import Phase
from crosstune.train.learning_rate import learning_rate
from tests.train.conftest import phase


def rates(num_steps: int, **settings: Any) -> list[float]:
    made = Phase.model_validate_json(json.dumps(phase(learning_rate=1.0, **settings)))
    return [learning_rate(made, step, num_steps) for step in range(num_steps)]


def test_warmup_rises_in_equal_steps_to_the_full_rate() -> None:
    assert rates(20, warmup_ratio=0.2, schedule="constant")[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_cosine_and_linear_fall_towards_zero() -> None:
    cosine, linear = rates(10, warmup_ratio=0, schedule="cosine"), rates(10, warmup_ratio=0, schedule="linear")
    assert cosine[0] == linear[0] == 1 and cosine[5] == pytest.approx(0.5) and linear[5] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True) and 0 < cosine[-1] < linear[-1] < 0.11


def test_all_steps_may_be_warmup() -> None:
    assert rates(4, warmup_ratio=1.0) == pytest.approx([0.25, 0.5, 0.75, 1])
