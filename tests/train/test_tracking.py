"""Trackers: what the files say they say, too, and one that is missing is named."""

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from crosstune.errors import BadInputError, RunFolderError
from crosstune.train import stage as train_stage
from crosstune.train import tracking
from tests.launched import launched
from tests.train.conftest import MakeRun, phase, scratch

STAGES = [phase(num_steps=4), phase(num_steps=3)]


def test_tensorboard_gets_the_rows_of_the_files_over_all_phases(make_run: MakeRun) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings: dict[str, Any] = {"trackers": ["tensorboard"], "validation": "korean", "validate_every_steps": 2}
    recipe, run = make_run({"base": scratch(phases=STAGES)}, **settings)
    train_stage.run(recipe, run)
    found = events.EventAccumulator(str(run.system("base") / "tracking" / "small"))
    found.Reload()
    rows = [json.loads(line) for line in (run.system("base") / "metrics.jsonl").read_text().splitlines()]
    losses = found.Scalars("loss")
    assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.value for event in losses] == pytest.approx([row["loss"] for row in rows])
    assert {"sources/pairs/loss", "loss_bits_per_byte", "learning_rate"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("validation/ko")] == [0, 2, 4, 4, 6, 7]


def test_wandb_gets_the_rows_of_the_files_over_all_phases_and_says_where_they_are(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    logged: list[tuple[str, int, dict[str, float]]] = []
    log = wandb.Run.log

    def noted(run: Any, row: dict[str, float], step: int) -> None:
        logged.append((run.name, step, row))
        log(run, row, step=step)

    monkeypatch.setattr(wandb.Run, "log", noted)
    monkeypatch.setitem(sys.modules, "openai", ModuleType("openai"))  # W&B has advice for those who import it
    wandb.teardown()  # as in a new process
    systems = {"base": scratch(phases=STAGES), "next": {"start": "base", "tokenizer": "base", "phases": STAGES[1:]}}
    recipe, run = make_run(systems, trackers=["wandb"], validation="korean", validate_every_steps=2)
    train_stage.run(recipe, run)
    wandb.teardown()
    said = capsys.readouterr().err
    assert said.count("W&B: ") == 2 and "wandb: " not in said
    for name in systems:
        rows = [json.loads(line) for line in (run.system(name) / "metrics.jsonl").read_text().splitlines()]
        found = [row for of_run, step, row in logged if of_run == name and "loss" in row]
        assert [row["loss"] for row in found] == [row["loss"] for row in rows]
        (file,) = (run.system(name) / "wandb").glob("offline-run-*/run-*.wandb")
        assert f"{name}: W&B: {file.parent}" in said
        kept = file.read_bytes()  # what was logged, and the settings
        assert all(part in kept for part in (b"validation/ko", b"sources/pairs/loss", b"global_batch_size"))
    steps = [step for of_run, step, row in logged if of_run == "base" and "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6, 7]


def test_a_missing_tracker_stops_before_training_with_the_remedy(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    recipe, run = make_run({"base": scratch(phases=STAGES)}, trackers=["wandb"])
    with pytest.raises(BadInputError, match=r"asks for wandb.*pip install 'crosstune\[track\]'"):
        train_stage.run(recipe, run)
    assert not (run.system("base") / "metrics.jsonl").exists()


def test_wandb_without_a_login_stops_before_training_with_the_remedy(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    recipe, run = make_run({"base": scratch(phases=STAGES)}, trackers=["wandb"])
    with pytest.raises(BadInputError, match=r"cannot start: No API key.*WANDB_MODE=offline"):
        train_stage.run(recipe, run)
    assert not (run.system("base") / "metrics.jsonl").exists()


def test_processes_that_accelerate_counts_alone_do_not_train_into_one_folder(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch(phases=STAGES)})
    # As without ACCELERATE_USE_CPU on a machine without GPU: each of torchrun's processes is the only one to it.
    monkeypatch.setattr(tracking, "Accelerator", lambda **_: SimpleNamespace(num_processes=1))
    launched(monkeypatch, 2, 1)
    with pytest.raises(RunFolderError, match="2 processes were launched, but accelerate counts 1"):
        tracking.make_accelerator(recipe, "base", run.system("base"))
