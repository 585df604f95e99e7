"""Killed and started again, training ends where it would have ended, bit for bit."""

import json
import random
import signal
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.train import stage as train_stage
from crosstune.train.checkpoint import Checkpoint, Checkpoints
from crosstune.train.position import Position
from tests.train.conftest import (
    Interrupted,
    MakeRun,
    a_run,
    broken_off_after,
    forget_training,
    phase,
    scratch,
    wait_for_steps,
)
from tests.warm import Process
from tests.warm import run as run_program

ADAPTERS = {"rank": 4, "alpha": 8, "dropout": 0.2, "targets": ["q_proj", "v_proj"]}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SYSTEMS: dict[str, Any] = {
    # Six steps of six rows: the border between two epochs of the 28 rows lies inside a step.
    "base": scratch(phases=[phase("korean", num_steps=7), phase("paper", num_steps=7)]),
    "lora": {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=ADAPTERS, num_steps=6)]},
}


def result(run: RunFolder) -> dict[str, Any]:
    """Return what a run left behind; times differ from run to run."""
    found: dict[str, Any] = {}
    for name in SYSTEMS:
        found[name] = load_file(run.system(name) / "model" / "model.safetensors")
        lines = (run.system(name) / "metrics.jsonl").read_text().splitlines()
        found[f"{name} metrics"] = [line.partition('"seconds"')[0] for line in lines]
    return found


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    for name in SYSTEMS:
        assert left[name].keys() == right[name].keys()
        assert all(torch.equal(left[name][weight], right[name][weight]) for weight in left[name])
        assert left[f"{name} metrics"] == right[f"{name} metrics"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tokenizers: Any) -> dict[str, Any]:
    """What a run leaves behind that nothing broke off."""
    forget_training()
    recipe, run = a_run(tokenizers, tmp_path_factory.mktemp("whole"), SYSTEMS, save_every_steps=2)
    train_stage.run(recipe, run)
    return result(run)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 6))])
def test_a_run_that_breaks_off_anywhere_ends_like_one_that_does_not(
    make_run: MakeRun, tmp_path: Path, whole: dict[str, Any], seed: int
) -> None:
    recipe, broken = make_run(SYSTEMS, root=tmp_path / "broken", save_every_steps=2)
    generator = random.Random(seed)
    for _ in range(4):
        with suppress(Interrupted), broken_off_after(generator.randrange(1, 12)):
            train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    assert_same(whole, result(broken))


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_is_resumed(make_run: MakeRun, tmp_path: Path, whole: dict[str, Any]) -> None:
    recipe, killed = make_run(SYSTEMS, root=tmp_path / "killed", save_every_steps=2)
    (tmp_path / "killed" / "recipe.yaml").write_text(yaml_file.dump(recipe), encoding="utf-8")
    process = Process("crosstune", "train", str(tmp_path / "killed" / "recipe.yaml"), environment=ONE_THREAD)
    wait_for_steps(killed, 5, process)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert not (killed.system("lora") / "system.json").exists(), "it ended before it was asked to"
    train_stage.run(recipe, killed)
    assert_same(whole, result(killed))


@pytest.mark.slow
@pytest.mark.parametrize("lives", [4, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_a_run_that_is_killed_many_times_ends_like_one_that_never_was(
    make_run: MakeRun, tmp_path: Path, lives: int
) -> None:
    systems = {
        "base": scratch(phases=[phase("korean", num_steps=24), phase("paper", num_steps=24)]),
        "lora": {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=ADAPTERS, num_steps=24)]},
    }
    recipe, whole = make_run(systems, root=tmp_path / "whole", save_every_steps=3)
    train_stage.run(recipe, whole)
    num_kills = 0
    # Where a run ends before it was killed so often, the next one goes on with being killed.
    while num_kills < lives:
        root = tmp_path / f"after_{num_kills}"
        recipe, killed = make_run(systems, root=root, save_every_steps=3)
        (root / "recipe.yaml").write_text(yaml_file.dump(recipe), encoding="utf-8")
        arguments = [str(root / "recipe.yaml"), str(killed.root), str(num_kills), str(lives - num_kills)]
        done = run_program("tests.train.killed_training", *arguments, environment=ONE_THREAD)
        assert done.returncode == 0, done.stderr[-3000:]
        num_kills += int(done.stdout)
        assert_same(result(whole), result(killed))


def interrupt_after(make_run: MakeRun, num_steps: int) -> tuple[Recipe, RunFolder]:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=10)])}, save_every_steps=2)
    with pytest.raises(Interrupted), broken_off_after(num_steps):
        train_stage.run(recipe, run)
    return recipe, run


def test_a_damaged_checkpoint_is_passed_over(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, run = interrupt_after(make_run, 7)
    folders = sorted((run.system("base") / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["phase-00-step-00000004", "phase-00-step-00000006"]
    weights = next(folders[-1].glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(bytes(content))
    found = newest(run)
    assert found.position == Position(0, 4) and found.totals.steps == 4
    assert (
        "phase-00-step-00000006 is damaged (model.safetensors has other content than was written)"
        in capsys.readouterr().err
    )
    (folders[0] / "checkpoint.json").write_text("{")
    assert newest(run).position == Position(0, 0)
    assert "phase-00-step-00000004 is damaged (checkpoint.json)" in capsys.readouterr().err
    train_stage.run(recipe, run)
    assert (run.system("base") / "system.json").exists()


def newest(
    run: RunFolder, num_ranks: int = 1, kind: DistributedType = DistributedType.NO, has_blocks: bool = False
) -> Checkpoint:
    folder = run.system("base") / "checkpoints"
    fingerprint = read_json(next(folder.glob("*/checkpoint.json")))["fingerprint"]
    accelerator = SimpleNamespace(num_processes=num_ranks, is_main_process=True, distributed_type=kind)
    checkpoints = Checkpoints(folder, fingerprint, 2, cast(Accelerator, accelerator), has_blocks=has_blocks)
    return checkpoints.newest()


def test_resume_is_refused_when_settings_changed(make_run: MakeRun) -> None:
    interrupt_after(make_run, 5)
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=10, learning_rate=1e-4)])})
    with pytest.raises(RunFolderError, match=r"cannot be resumed: its data, tokenizer, start or settings changed"):
        train_stage.run(recipe, run)


def test_a_checkpoint_goes_on_on_any_number_of_processes_but_where_its_parts_fit_no_other(make_run: MakeRun) -> None:
    _, run = interrupt_after(make_run, 5)
    alone = newest(run)
    assert newest(run, 8, DistributedType.MULTI_GPU) == newest(run, 8, DistributedType.FSDP) == alone
    for kind, has_blocks in ((DistributedType.DEEPSPEED, False), (DistributedType.FSDP, True)):
        with pytest.raises(RunFolderError, match=r"how its weights are split over processes changed.*delete .*check"):
            newest(run, 8, kind, has_blocks)


@pytest.mark.parametrize(("name", "value"), [("num_rows", 29), ("step", 11)])
def test_a_place_that_is_not_in_the_data_is_refused_before_the_first_step(
    make_run: MakeRun, name: str, value: int
) -> None:
    recipe, run = interrupt_after(make_run, 5)
    for path in (run.system("base") / "checkpoints").glob("*/checkpoint.json"):
        path.write_text(json.dumps({**read_json(path), name: value}))
    with pytest.raises(RunFolderError, match=r"of the order of \d+ rows, but phase 1 of base has 28 rows now, and 10 "):
        train_stage.run(recipe, run)
    assert list((run.system("base") / "checkpoints").iterdir())


def test_a_half_written_checkpoint_is_never_taken(make_run: MakeRun) -> None:
    _, run = interrupt_after(make_run, 5)
    half = run.system("base") / "checkpoints" / f".{Position(0, 8).name}.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"x")
    assert newest(run).position == Position(0, 4)
