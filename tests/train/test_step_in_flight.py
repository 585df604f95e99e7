"""A step's numbers, summed on the device, are those that are summed one after the other."""

import random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator

from crosstune.train.batches import Share, make_batch
from crosstune.train.rows import Rows, Segment
from crosstune.train.step_in_flight import RankStep, in_flight


def test_losses_are_summed_by_language_and_source_to_the_last_bit() -> None:
    draw = random.Random(0)
    languages = [draw.choice(["en", "ko"]) for _ in range(300)]
    segments = [Segment((1, 2, 3), 1, 1, language, draw.choice("ab")) for language in languages]
    rows = Rows.of([(segment,) for segment in segments])
    losses = torch.tensor([draw.lognormvariate(2, 3) for _ in segments])
    batch = make_batch(rows, 0, np.arange(300), Share(0, 1, 1000))
    accelerator = cast(Accelerator, SimpleNamespace(num_processes=1))
    found: Any = in_flight(accelerator, batch, RankStep(segments, losses, torch.tensor(0.1), 1e-3)).result("")
    expected = dict.fromkeys(rows.corpora, 0.0)
    for segment, value in zip(segments, losses.tolist(), strict=True):
        expected[segment.corpus] += value
    assert found.nats == expected and found.grad_norm == float(torch.tensor(0.1)) and not found.is_asked_to_stop
