"""Weights that DeepSpeed splits (ZeRO-3) learn what one process learns; not launched where it is not installed."""

import math
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from accelerate.utils import DistributedType
from torch import nn

from crosstune.train import stage as train_stage
from crosstune.train.methods.deepspeed import clip_gradient
from tests.train.conftest import MakeRun, losses, phase, scratch, wait_for_steps, weights
from tests.train.test_distributed import (
    ADAPTERS,
    DEEPSPEED,
    SETTINGS,
    assert_equal_but_for_rounding,
    finish,
    launch,
)


def skip_without_deepspeed() -> None:
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed: pip install deepspeed")


SYSTEMS = {
    "base": scratch(phases=[phase("korean", num_steps=5, global_batch_size=5), phase("paper", num_steps=5)]),
    "lora": {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=ADAPTERS, num_steps=4)]},
    "ours": {
        "start": "base",
        "tokenizer": "extended",
        "phases": [phase(num_steps=3), phase(method="lora", lora={**ADAPTERS, "train_new_rows": True}, num_steps=3)],
    },
}


@pytest.mark.slow
def test_two_processes_of_deepspeed_train_as_one_does(make_run: MakeRun, tmp_path: Path) -> None:
    skip_without_deepspeed()
    recipe, single = make_run(SYSTEMS, root=tmp_path / "single", **SETTINGS)
    train_stage.run(recipe, single)
    recipe, double = make_run(SYSTEMS, root=tmp_path / "double", **SETTINGS)
    finish(launch(recipe, tmp_path / "double", DEEPSPEED))
    assert_equal_but_for_rounding(double, single, SYSTEMS)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_deepspeed_that_is_stopped_goes_on_from_its_checkpoint_and_leaves_weights_in_float32(
    make_run: MakeRun, tmp_path: Path, signal_number: signal.Signals
) -> None:
    skip_without_deepspeed()
    systems = {"base": scratch(phases=[phase(num_steps=20)])}
    settings: dict[str, Any] = {"precision": "bf16", "gradient_checkpointing": True}
    recipe, whole = make_run(systems, root=tmp_path / "whole", **settings)
    finish(launch(recipe, tmp_path / "whole", DEEPSPEED))
    # Stopped, it saves by itself; killed, it goes on from the last time that it did.
    save_every_steps = 100 if signal_number == signal.SIGTERM else 2
    recipe, stopped = make_run(systems, root=tmp_path / "stopped", save_every_steps=save_every_steps, **settings)
    process = launch(recipe, tmp_path / "stopped", DEEPSPEED)
    wait_for_steps(stopped, 5, process)
    workers = psutil.Process(process.pid).children(recursive=True) if signal_number == signal.SIGKILL else []
    for one in (process, *workers):
        one.send_signal(signal_number)
    process.communicate(timeout=300)
    assert not (stopped.system("base") / "system.json").exists()
    checkpoints = list((stopped.system("base") / "checkpoints").glob("phase-00-step-*"))
    assert len(list(checkpoints[0].rglob("*_optim_states.pt"))) == 2  # each process wrote its own
    finish(launch(recipe, tmp_path / "stopped", DEEPSPEED))
    assert losses(stopped, "base") == losses(whole, "base")
    for key, weight in weights(whole, "base").items():
        assert torch.equal(weights(stopped, "base")[key], weight)
        assert not torch.equal(weight, weight.bfloat16().float())


def test_a_step_that_deepspeed_skipped_has_no_finite_norm() -> None:
    # It tells the norm of the step before.
    machine: Any = SimpleNamespace(distributed_type=DistributedType.DEEPSPEED, clip_grad_norm_=lambda *_: 0.5)
    assert math.isnan(clip_gradient(machine, nn.Linear(1, 1), SimpleNamespace(step_was_skipped=True), 1.0))
    assert clip_gradient(machine, nn.Linear(1, 1), SimpleNamespace(step_was_skipped=False), 1.0) == 0.5
