"""What the loop does when something goes wrong, and what it writes down."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import accelerate.checkpointing
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.distributed.checkpoint.api import CheckpointException
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.errors import BadInputError, CrosstuneError
from crosstune.models.kernels import low_memory_layers as lean_layers
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.hashes import damage_to
from crosstune.train import loop, saved_state
from crosstune.train import stage as train_stage
from crosstune.train.error_messages import disk_advice, memory_advice
from crosstune.train.loss import SummedLoss
from crosstune.train.methods import trainable
from crosstune.train.metrics import MetricsFile
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, losses, metrics, phase, scratch


def test_what_is_random_inside_a_step_is_drawn_anew_in_each_step_phase_and_process() -> None:
    jobs: list[Any] = [SimpleNamespace(seed=seed, index=index) for seed in (1, 2) for index in (0, 1)]
    seeds = [loop.step_seed(job, step, rank) for job in jobs for step in range(4) for rank in range(2)]
    assert len(set(seeds)) == len(seeds) == 32
    assert loop.step_seed(jobs[0], 3, 1) == loop.step_seed(jobs[0], 3, 1)


def test_out_of_memory_names_the_setting_to_change(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = make_run({"base": scratch()})

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(trainable, "summed_loss", full)
    with pytest.raises(CrosstuneError, match=r"out of memory with train.micro_batch_tokens=200 .*Lower it"):
        train_stage.run(recipe, run)


def test_where_rows_are_read_one_by_one_shorter_ones_need_less_memory_and_smaller_micro_batches_do_not() -> None:
    with (
        pytest.raises(CrosstuneError, match=r"with rows read one by one \(2 GiB\)\. Lower max_length_tokens"),
        memory_advice("base", 200, "one by one"),
    ):
        raise torch.OutOfMemoryError("2 GiB")


def test_memory_of_a_cpu_that_does_not_suffice_names_the_setting_too(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch()})
    monkeypatch.setattr(trainable, "summed_loss", lambda *_: torch.empty(2**50))
    with pytest.raises(CrosstuneError, match=r"out of memory with train.micro_batch_tokens=200 .*can't allocate"):
        train_stage.run(recipe, run)


def test_another_fault_than_memory_is_shown_as_it_is(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = make_run({"base": scratch()})
    monkeypatch.setattr(trainable, "summed_loss", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        train_stage.run(recipe, run)


def test_an_infinite_gradient_stops_before_it_reaches_a_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch()}, save_every_steps=2)
    calls = iter(range(100))
    real = trainable.summed_loss

    def breaks(*arguments: Any) -> Any:
        found = real(*arguments)
        if next(calls) < 3:
            return found
        return SummedLoss(found.total * math.inf, found.per_segment)

    monkeypatch.setattr(trainable, "summed_loss", breaks)
    with pytest.raises(
        CrosstuneError, match=r"gave no finite number in the gradient, though not the loss, of .*: \w:\d"
    ):
        train_stage.run(recipe, run)
    assert list((run.system("base") / "checkpoints").iterdir())
    monkeypatch.setattr(trainable, "summed_loss", real)
    train_stage.run(recipe, run)
    assert (run.system("base") / "model").is_dir()


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a step's numbers be on their way when the next begins; return what happened, in order."""
    happened: list[str] = []
    real = loop.in_flight

    def begin(*arguments: Any) -> Any:
        step = real(*arguments)
        happened.append(f"computed {step.batch.step}")
        copied = SimpleNamespace(synchronize=lambda: happened.append(f"read {step.batch.step}"))
        return replace(step, copied=copied)

    monkeypatch.setattr(loop, "in_flight", begin)
    return happened


def test_numbers_are_read_while_the_next_step_is_computed_and_before_anything_rests_on_them(
    make_run: MakeRun, tmp_path: Path, as_on_a_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=5)])}, root=tmp_path / "gpu", save_every_steps=3)
    train_stage.run(recipe, run)
    order = "computed 0, computed 1, read 0, computed 2, read 1, read 2, computed 3, computed 4, read 3, read 4"
    assert ", ".join(as_on_a_gpu) == order
    monkeypatch.undo()
    recipe, waiting = make_run({"base": scratch(phases=[phase(num_steps=5)])}, root=tmp_path / "cpu")
    train_stage.run(recipe, waiting)
    assert [{**row, "seconds": 0} for row in metrics(run)] == [{**row, "seconds": 0} for row in metrics(waiting)]


def test_numbers_are_read_when_they_are_logged(
    make_run: MakeRun, tmp_path: Path, as_on_a_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=8)])}
    recipe, run = make_run(systems, root=tmp_path / "gpu", save_every_steps=100, log_every_steps=3)
    train_stage.run(recipe, run)
    order = [*("c0", "c1", "c2", "c3"), *("r0", "r1", "r2"), *("c4", "c5", "c6"), *("r3", "r4", "r5"), "c7", "r6", "r7"]
    assert [f"{what[0]}{what.split()[1]}" for what in as_on_a_gpu] == order
    monkeypatch.undo()
    recipe, waiting = make_run(systems, root=tmp_path / "cpu", log_every_steps=3)
    train_stage.run(recipe, waiting)
    assert [row["step"] for row in metrics(run)] == [3, 6, 8]
    assert [{**row, "seconds": 0} for row in metrics(run)] == [{**row, "seconds": 0} for row in metrics(waiting)]


def test_a_request_to_stop_is_followed_at_once_though_numbers_are_logged_seldom(
    make_run: MakeRun, as_on_a_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch()}, save_every_steps=100, log_every_steps=50)

    @contextmanager
    def asked_in_the_third_step() -> Iterator[Callable[[], bool]]:
        answers = iter((False, False, True))
        yield lambda: next(answers)

    monkeypatch.setattr(loop, "stop_requests", asked_in_the_third_step)
    with pytest.raises(KeyboardInterrupt):
        train_stage.run(recipe, run)
    assert [folder.name for folder in (run.system("base") / "checkpoints").iterdir()] == ["phase-00-step-00000003"]


@pytest.mark.parametrize("log_every_steps", [1, 100])
@pytest.mark.parametrize("num_good", [1, 2, 3])
def test_a_step_that_is_not_finite_is_in_no_checkpoint_and_its_rows_are_named(
    make_run: MakeRun, as_on_a_gpu: list[str], monkeypatch: pytest.MonkeyPatch, num_good: int, log_every_steps: int
) -> None:
    recipe, run = make_run({"base": scratch()}, save_every_steps=2, log_every_steps=log_every_steps)
    calls = iter(range(100))
    real = trainable.summed_loss

    def breaks(*arguments: Any) -> Any:
        found = real(*arguments)
        if next(calls) < num_good:
            return found
        return SummedLoss(found.total * math.nan, found.per_segment * math.nan)

    monkeypatch.setattr(trainable, "summed_loss", breaks)
    where = (
        rf"step {num_good + 1} gave no finite number in the loss of these rows: \w:\d.* last checkpoint is from before"
    )
    with pytest.raises(CrosstuneError, match=where):
        train_stage.run(recipe, run)
    assert [row["step"] for row in metrics(run)] == (list(range(1, num_good + 1)) if log_every_steps == 1 else [])
    assert not (run.system("base") / "model").exists()
    for path in (run.system("base") / "checkpoints").glob("*/*.safetensors"):
        assert all(weight.isfinite().all() for weight in load_file(path).values())


@pytest.mark.parametrize("num_free", [2**40, 0], ids=["behind", "while training waits"])
def test_a_full_disk_keeps_the_earlier_checkpoints(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, num_free: int
) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=20)])}, save_every_steps=2)
    monkeypatch.setattr(saved_state, "free_memory", lambda: num_free)
    # The first file of each checkpoint; a copy of the second is found wanting behind the training.
    where, name = (saved_state, "save") if num_free else (accelerate.checkpointing, "save")
    real, calls = getattr(where, name), iter(range(100))

    def save(content: Any, path: Any, **settings: Any) -> Any:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(content, path, **settings)

    monkeypatch.setattr(where, name, save)
    with pytest.raises(
        CrosstuneError, match=r"cannot write checkpoint phase-00-step-00000004.*No space left.*free disk space"
    ):
        train_stage.run(recipe, run)
    assert [folder.name for folder in (run.system("base") / "checkpoints").iterdir()] == ["phase-00-step-00000002"]
    # It was not left for the end: the next checkpoint, two steps later, was never begun.
    assert len(losses(run)) <= 6


def test_training_goes_on_while_a_checkpoint_is_written_and_ends_when_it_is(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=8)])}, save_every_steps=4)
    real, seen = saved_state.save, list[int]()

    def slow(content: Any, path: str, **settings: Any) -> None:
        # Written only when the steps behind it are done: with training waiting this would never end.
        deadline = time.monotonic() + 60
        while len(losses(run)) < 7 and time.monotonic() < deadline:
            time.sleep(0.005)
        seen.append(len(losses(run)))
        real(content, path, **settings)

    monkeypatch.setattr(saved_state, "save", slow)
    with pytest.raises(Interrupted), broken_off_after(7):
        train_stage.run(recipe, run)
    assert seen[0] == 7
    (folder,) = (run.system("base") / "checkpoints").iterdir()
    assert folder.name == "phase-00-step-00000004"
    assert not damage_to(folder, read_json(folder / "checkpoint.json")["files"])


def test_a_checkpoint_holds_the_step_that_it_is_named_by_though_training_went_on(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=6)])}
    found = []
    for num_free in (2**40, 0):
        recipe, run = make_run(systems, root=tmp_path / str(num_free), save_every_steps=3)
        monkeypatch.setattr(saved_state, "free_memory", lambda num_free=num_free: num_free)
        with pytest.raises(Interrupted), broken_off_after(5):
            train_stage.run(recipe, run)
        folder = run.system("base") / "checkpoints" / "phase-00-step-00000003"
        moments = torch.load(folder / "optimizer.bin", weights_only=True)["state"]
        totals = {**read_json(folder / "checkpoint.json")["totals"], "seconds": 0}
        found.append((load_file(folder / "model.safetensors"), moments, totals))
    (weights, moments, totals), (others, other_moments, other_totals) = found
    assert totals == other_totals and totals["steps"] == 3
    assert weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)
    for number, state in moments.items():
        assert all(torch.equal(value, other_moments[number][name]) for name, value in state.items())


def test_a_full_disk_at_the_end_keeps_the_checkpoints_and_the_model_follows(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch()}, save_every_steps=2)

    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(PreTrainedModel, "save_pretrained", full)
        with pytest.raises(CrosstuneError, match=r"cannot write the model folder .*base/model .*No space.*free disk"):
            train_stage.run(recipe, run)
    assert list((run.system("base") / "checkpoints").iterdir())
    train_stage.run(recipe, run)
    assert (run.system("base") / "model" / "model.safetensors").exists()


def test_a_disk_that_is_full_for_one_of_several_ranks_is_named_by_its_own_error(tmp_path: Path) -> None:
    failures: Any = {1: (OSError(28, "No space left on device"), None)}
    with (
        pytest.raises(CrosstuneError, match=r"cannot write checkpoint 3 .*No space left on device.*free disk space"),
        disk_advice("checkpoint 3", tmp_path / "half"),
    ):
        raise CheckpointException("write", failures)


def test_a_full_disk_under_the_metrics_says_so() -> None:
    with pytest.raises(CrosstuneError, match=r"cannot write a row of /dev/full .*No space left.*free disk space"):
        MetricsFile(Path("/dev/full")).append({"step": 1})


def test_bits_per_byte_and_sources_follow_from_the_loss(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=5, global_batch_size=28)])})
    train_stage.run(recipe, run)
    for row in metrics(run):  # every step sees the whole mixture of 28 rows once
        counts = {name: source["supervised_tokens"] for name, source in row["sources"].items()}
        nats = sum(source["loss"] * source["supervised_tokens"] for source in row["sources"].values())
        assert set(counts) == {"pairs", "alpaca"}
        assert row["loss"] == pytest.approx(nats / sum(counts.values()))
        # Here a language is a source: pairs are Korean, Alpaca is English.
        assert row["languages"] == {"en": row["sources"]["alpaca"], "ko": row["sources"]["pairs"]}
        assert row["supervised_tokens"] == row["step"] * sum(counts.values())
    examples = make_examples()
    num_bytes = sum(len(example.encode()) for example in examples)
    first = metrics(run)[0]
    nats = first["loss"] * first["supervised_tokens"]
    assert first["loss_bits_per_byte"] == pytest.approx(nats / math.log(2) / num_bytes)


def make_examples() -> list[str]:
    from tests.train.conftest import instructions, pairs

    return [example.completion for example in pairs() + instructions()]


def test_rows_may_be_logged_seldom_and_totals_survive_a_resume(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seldom = {"log_every_steps": 5, "save_every_steps": 2}
    recipe, whole = make_run({"base": scratch()}, root=tmp_path / "whole", **seldom)
    train_stage.run(recipe, whole)
    recipe, broken = make_run({"base": scratch()}, root=tmp_path / "broken", **seldom)
    real = loop.train_step
    calls = iter(range(7))

    def breaks(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "train_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        train_stage.run(recipe, broken)
    monkeypatch.setattr(loop, "train_step", real)
    train_stage.run(recipe, broken)
    assert [row["step"] for row in metrics(broken)] == [5, 8]
    for mine, theirs in zip(metrics(broken), metrics(whole), strict=True):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
    steps = read_json(broken.system("base") / "system.json")["phases"][0]
    assert steps["steps"] == 8 and steps["tokens"] == metrics(whole)[-1]["tokens"]


def test_rows_longer_than_the_models_positions_are_refused(make_run: MakeRun) -> None:
    base = scratch()
    base["architecture"]["max_positions"] = 24
    recipe, run = make_run({"base": base})
    with pytest.raises(BadInputError, match=r"systems.base: \w:\d+ has \d+ tokens.*but the model.s context is 24"):
        train_stage.run(recipe, run)


def test_gradient_checkpointing_changes_nothing_but_memory(make_run: MakeRun, tmp_path: Path) -> None:
    found = []
    for on in (False, True):
        recipe, run = make_run({"base": scratch()}, root=tmp_path / str(on), gradient_checkpointing=on)
        train_stage.run(recipe, run)
        found.append(AutoModelForCausalLM.from_pretrained(run.system("base") / "model").state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_one_process_says_how_to_use_all_gpus(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])})
    train_stage.run(recipe, run)
    said = " ".join(capsys.readouterr().err.split())
    assert "one process trains on one of 8 GPUs; for all of them: accelerate launch --config_file" in said


def test_too_long_examples_are_written_down(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1, max_length_tokens=30, on_too_long="drop")])})
    train_stage.run(recipe, run)
    rows = read_jsonl(run.system("base") / "too_long_in_phase_0.jsonl")
    assert rows and all(row["num_tokens"] > 30 and row["treatment"] == "dropped" for row in rows)
    assert json.dumps(rows[0]).startswith('{"origin": "')


def test_the_last_layer_computes_less_than_the_others(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])})
    seen: list[int] = []
    real = lean_layers.feed_forward

    def count(network: Any, states: torch.Tensor) -> torch.Tensor:
        seen.append(states.shape[-2])
        return real(network, states)

    monkeypatch.setattr(lean_layers, "feed_forward", count)
    train_stage.run(recipe, run)
    num_supervised = metrics(run)[0]["supervised_tokens"]
    first, last = seen[-2:]  # of the step; before it the model's test ran
    assert last <= num_supervised < first
