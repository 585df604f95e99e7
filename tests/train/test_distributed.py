"""Two processes learn what one learns."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.train import stage as train_stage
from tests.ranks import Ranks, told_to_shard, train_on_ranks, train_on_two
from tests.train.conftest import (
    Interrupted,
    MakeRun,
    a_run,
    broken_off_after,
    forget_training,
    losses,
    metrics,
    phase,
    scratch,
    wait_for_steps,
    weights,
)

ADAPTERS = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
PULLS: dict[str, Any] = {"l2_to_start": 5.0}
SYSTEMS: dict[str, Any] = {
    # Five rows a step: two processes cannot share them evenly.
    "base": scratch(phases=[phase("korean", num_steps=5, global_batch_size=5), phase("paper", num_steps=5, **PULLS)]),
    "lora": {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=ADAPTERS, num_steps=4)]},
    "ours": {
        "start": "base",
        "tokenizer": "extended",
        "phases": [phase(num_steps=3), phase(method="lora", lora={**ADAPTERS, "train_new_rows": True}, num_steps=3)],
    },
}
SETTINGS: dict[str, Any] = {"validation": "pairs", "validate_every_steps": 2, "save_every_steps": 2}
pytestmark = pytest.mark.xdist_group("distributed")  # two of its tests compare with the same run
# Without a GPU, accelerate's own launcher starts one process, unless it shards.
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# With the file that users launch with, on two processes, and at any port that is free.
FILES = Path(__file__).parents[2] / "recipes" / "launch"
LAUNCH = ["accelerate.commands.launch", "--num_processes", "2", "--main_process_port", "0", "--config_file"]
DEEPSPEED = [*LAUNCH, str(FILES / "deepspeed_zero3_8_gpus.yaml")]


def launch(recipe: Recipe, folder: Path, launcher: list[str]) -> subprocess.Popen[str]:
    path = folder / "launched.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    # accelerate forgets DeepSpeed where it is told to use CPUs.
    places = {"DS_ACCELERATOR": "cpu", "ACCELERATE_TORCH_DEVICE": "cpu"}
    program = "tests.train.deepspeed_on_cpus" if launcher == DEEPSPEED else "crosstune"
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", program, "--debug", "train", str(path)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (Path(yaml_file.__file__).parents[2], Path(__file__).parents[2]))),
            "OMP_NUM_THREADS": "1",
            **(places if launcher == DEEPSPEED else {"ACCELERATE_USE_CPU": "true"}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]


def held_out(run: RunFolder, name: str) -> list[float]:
    rows = read_jsonl(run.system(name) / "validation.jsonl")
    return [value for row in rows for value in row["bits_per_byte"].values()]


def assert_equal_but_for_rounding(double: RunFolder, single: RunFolder, systems: Iterable[str]) -> None:
    for name in systems:
        assert {done["num_processes"] for done in read_json(double.system(name) / "system.json")["phases"]} == {2}
        assert losses(double, name) == pytest.approx(losses(single, name), rel=1e-5)
        assert held_out(double, name) == pytest.approx(held_out(single, name), rel=1e-5)
        for key, weight in weights(single, name).items():
            # Adam divides a gradient by its own size, so that one next to zero turns rounding into movement: allowed is
            # a hundredth of a step (learning rate 5e-3).
            torch.testing.assert_close(weights(double, name)[key], weight, rtol=1e-3, atol=5e-5)


def test_launch_files_are_what_accelerate_and_bash_read() -> None:
    configs = {path.stem: load_config_from_file(str(path)) for path in FILES.glob("*.yaml")}
    assert {name: (config.distributed_type, config.num_processes) for name, config in configs.items()} == {
        "one_node_8_gpus": (DistributedType.FSDP, 8),
        "deepspeed_zero3_8_gpus": (DistributedType.DEEPSPEED, 8),
    }
    assert configs["one_node_8_gpus"].fsdp_config["fsdp_version"] == 2
    assert configs["deepspeed_zero3_8_gpus"].deepspeed_config["zero_stage"] == 3
    subprocess.run(["bash", "-n", str(FILES / "slurm_2_nodes.sh")], check=True)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, tokenizers: Any) -> RunFolder:
    """What one process trains."""
    forget_training()
    recipe, run = a_run(tokenizers, tmp_path_factory.mktemp("single"), SYSTEMS, **SETTINGS)
    train_stage.run(recipe, run)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["ddp", "fsdp2"])
def test_two_processes_train_as_one_does(single: RunFolder, make_run: MakeRun, tmp_path: Path, sharded: bool) -> None:
    recipe, double = make_run(SYSTEMS, **SETTINGS)
    train_on_two(recipe, tmp_path, sharded).finish()
    assert_equal_but_for_rounding(double, single, SYSTEMS)


@pytest.mark.exhaustive
def test_what_two_processes_began_one_goes_on_with_at_the_next_row(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=30)])}
    recipe, single = make_run(systems, root=tmp_path / "single")
    train_stage.run(recipe, single)
    recipe, stopped = make_run(systems, root=tmp_path / "stopped", save_every_steps=100)
    process = launch(recipe, tmp_path / "stopped", TORCHRUN)
    wait_for_steps(stopped, 3, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert 3 <= len(losses(stopped, "base")) < 30
    train_stage.run(recipe, stopped)
    assert losses(stopped, "base") == pytest.approx(losses(single, "base"), rel=1e-5)


@pytest.mark.whole
@pytest.mark.parametrize("split_first", [True, False], ids=["2 to 1", "1 to 2"])
@pytest.mark.parametrize("is_split", [True, pytest.param(False, marks=pytest.mark.exhaustive)], ids=["fsdp2", "ddp"])
def test_a_run_goes_on_on_another_number_of_processes_with_the_same_order_of_examples(
    make_run: MakeRun, tmp_path: Path, is_split: bool, split_first: bool
) -> None:
    # Moments are large by then, and what l2_to_start keeps is split as the weights are.
    systems = {"base": scratch(phases=[phase(num_steps=30, **PULLS)])}
    recipe, single = make_run(systems, root=tmp_path / "single")
    train_stage.run(recipe, single)
    recipe, moved = make_run(systems, root=tmp_path / "moved", save_every_steps=4)
    if split_first:
        ranks = train_on_two(recipe, tmp_path / "moved", sharded=is_split)
        wait_for_steps(moved, 5, ranks)
        ranks.send_signal(signal.SIGTERM)
        ranks.wait()
        AcceleratorState._reset_state(reset_partial_state=True)
        assert 4 <= len(losses(moved, "base")) < 30
        train_stage.run(recipe, moved)
    else:
        with pytest.raises(Interrupted), broken_off_after(6):
            train_stage.run(recipe, moved)
        train_on_two(recipe, tmp_path / "moved", sharded=is_split).finish()
    assert_learnt_the_same(moved, single)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("num_before", "num_after", "is_split"),
    [(2, 3, True), (4, 2, True), (4, 2, False)],
    ids=["2 to 3, fsdp2", "4 to 2, fsdp2", "4 to 2, ddp"],
)
def test_several_processes_go_on_where_more_or_fewer_stopped(
    make_run: MakeRun, tmp_path: Path, num_before: int, num_after: int, is_split: bool
) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=30, **PULLS)])}
    recipe, single = make_run(systems, root=tmp_path / "single")
    train_stage.run(recipe, single)
    recipe, moved = make_run(systems, root=tmp_path / "moved", save_every_steps=4)
    ranks = train_on_ranks(recipe, tmp_path / "moved", num_before, sharded=is_split)
    wait_for_steps(moved, 5, ranks)
    ranks.send_signal(signal.SIGTERM)
    ranks.wait()
    assert 4 <= len(losses(moved, "base")) < 30
    train_on_ranks(recipe, tmp_path / "moved", num_after, sharded=is_split).finish()
    assert {done["num_processes"] for done in read_json(moved.system("base") / "system.json")["phases"]} == {num_after}
    assert_learnt_the_same(moved, single)


def assert_learnt_the_same(moved: RunFolder, single: RunFolder) -> None:
    for row, other in zip(metrics(moved), metrics(single), strict=True):
        # The same examples in each step.
        assert (row["step"], row["tokens"], row["sources"].keys()) == (
            other["step"],
            other["tokens"],
            other["sources"].keys(),
        )
    assert losses(moved, "base") == pytest.approx(losses(single, "base"), rel=1e-5)
    for key, weight in weights(single, "base").items():
        torch.testing.assert_close(weights(moved, "base")[key], weight, rtol=1e-3, atol=5e-5)


@pytest.mark.exhaustive
def test_in_bf16_two_processes_that_split_the_weights_learn_next_to_what_one_learns(
    make_run: MakeRun, tmp_path: Path
) -> None:
    # Two micro-batches a rank and step: gradients are added up over both.
    systems = {"base": scratch(phases=[phase("korean", num_steps=6, global_batch_size=5, **PULLS)])}
    found: dict[str, RunFolder] = {}
    for name, precision in (("float32", "float32"), ("bf16", "bf16"), ("split", "bf16")):
        AcceleratorState._reset_state(reset_partial_state=True)  # it keeps the precision of the first
        recipe, found[name] = make_run(systems, root=tmp_path / name, precision=precision, micro_batch_tokens=60)
        if name == "split":
            train_on_two(recipe, tmp_path / name, sharded=True).finish()
        else:
            train_stage.run(recipe, found[name])
    whole, single, split = (losses(found[name], "base") for name in ("float32", "bf16", "split"))
    # One process computes by autocast, products in bf16 and sums in float32; split weights are gathered in bf16, and so
    # all is computed. bf16 keeps 8 bits, 0.4 %, of each logit, which averages out over the losses of a step: allowed is
    # a fourth of that, found were 6e-5.
    assert split == pytest.approx(single, rel=1e-3) and split == pytest.approx(whole, rel=1e-3)
    assert split != pytest.approx(whole, rel=1e-6)
    for key, weight in weights(found["split"], "base").items():
        # They are kept in float32: more than what bf16 can hold.
        assert weight.dtype == torch.float32 and not torch.equal(weight, weight.bfloat16().float()), key


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adamw_8bit"},
        pytest.param({"precision": "bf16"}, marks=pytest.mark.exhaustive),
    ],
    ids=["adamw", "adamw_8bit", "bf16"],
)
def test_sharded_training_that_is_stopped_goes_on_from_its_checkpoint(
    make_run: MakeRun, tmp_path: Path, settings: dict[str, Any]
) -> None:
    if settings.get("optimizer") == "adamw_8bit":
        pytest.importorskip("torchao", reason="the extra eight_bit is not installed")
    # Wide enough that moments take one byte each in halves of the matrices, too.
    shape = {"hidden_size": 128, "num_layers": 1, "num_heads": 4, "intermediate_size": 128}
    systems = {"base": scratch(architecture=shape, phases=[phase(num_steps=20, **PULLS)])}
    recipe, whole = make_run(systems, root=tmp_path / "whole", **settings)
    train_on_two(recipe, tmp_path / "whole", sharded=True).finish()
    recipe, stopped = make_run(systems, root=tmp_path / "stopped", save_every_steps=100, **settings)
    ranks = train_on_two(recipe, tmp_path / "stopped", sharded=True)
    wait_for_steps(stopped, 3, ranks)
    ranks.send_signal(signal.SIGTERM)
    ranks.wait()
    (checkpoint,) = (stopped.system("base") / "checkpoints").glob("phase-00-step-*")
    parts = {path.parent.name for path in checkpoint.rglob("__1_0.distcp")}
    assert parts == {"pytorch_model_fsdp_0", "optimizer_0"}  # each process wrote its own
    train_on_two(recipe, tmp_path / "stopped", sharded=True).finish()
    assert losses(stopped, "base") == losses(whole, "base")
    for key, weight in weights(whole, "base").items():
        assert torch.equal(weights(stopped, "base")[key], weight)


@pytest.mark.slow
def test_sharded_training_goes_on_while_its_checkpoint_is_written(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=8, **PULLS)])}
    recipe, run = make_run(systems, save_every_steps=4)
    path = tmp_path / "launched.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    Ranks("tests.train.slow_disk_on_cpus", "--debug", "train", str(path), told=told_to_shard(2)).finish()
    # Both ranks wrote their parts when the steps behind them were done.
    seen = [(tmp_path / f"seen_{rank}").read_text() for rank in range(2)]
    assert seen == ["7", "7"]
    assert (run.system("base") / "system.json").exists()
