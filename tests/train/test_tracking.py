"""Trackers: what the files say they say, too, and one that is missing is named."""

import json
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.train import stage as train_stage
from crosstune.train import tracking
from tests.train.conftest import MakeRun, scratch, stage

STAGES = [stage(num_steps=4), stage(num_steps=3)]


def test_tensorboard_gets_the_rows_of_the_files_over_all_stages(make_run: MakeRun) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings: dict[str, Any] = {"trackers": ["tensorboard"], "validation": "korean", "validate_every_steps": 2}
    recipe, run = make_run({"base": scratch(stages=STAGES)}, **settings)
    train_stage.run(recipe, run)
    found = events.EventAccumulator(str(run.system("base") / "tracking" / "small"))
    found.Reload()
    rows = [json.loads(line) for line in (run.system("base") / "metrics.jsonl").read_text().splitlines()]
    losses = found.Scalars("loss")
    assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.value for event in losses] == pytest.approx([row["loss"] for row in rows])
    assert {"sources/pairs/loss", "bits_per_byte", "learning_rate"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("validation/ko")] == [0, 2, 4, 4, 6, 7]


def test_a_missing_tracker_stops_before_training_with_the_remedy(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    recipe, run = make_run({"base": scratch(stages=STAGES)}, trackers=["wandb"])
    with pytest.raises(BadInputError, match=r"asks for wandb.*pip install 'crosstune\[track\]'"):
        train_stage.run(recipe, run)
    assert not (run.system("base") / "metrics.jsonl").exists()
