"""The progress line's numbers: useful operations counted as the plan counts them, and a rate that the machine has."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM

from crosstune.recipe import Train
from crosstune.terminal.bars import as_much_as_fits
from crosstune.tokens.store import mixture_tokens
from crosstune.train import stage as train_stage
from crosstune.train.batches import make_schedule
from crosstune.train.cost import count_tokens, flops
from crosstune.train.loop import progress_note
from crosstune.train.rows import make_rows
from crosstune.train.speed import Speed, gain_of_bf16, matrix_rate, speed_of
from tests.train.conftest import MakeRun, scratch


def test_the_share_is_useful_operations_by_time_and_rate() -> None:
    assert Speed(flops_per_step=3e9, matrix_rate=1e10).mfu(steps=10, seconds=6.0) == 0.5


def rate_by_hand() -> float:
    left = torch.ones(1024, 1024)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        torch.nn.functional.linear(left, left)
        times.append(time.perf_counter() - started)
    return 2 * 1024**3 / min(times)


@pytest.mark.slow
def test_the_rate_is_that_of_a_product_timed_by_hand() -> None:
    # Other work on the machine moves both, seldom in five turns alike; an error of units or of the count is a factor of
    # two or more.
    ratios = (matrix_rate(torch.device("cpu"), torch.float32) / rate_by_hand() for _ in range(5))
    assert any(0.67 < ratio < 1.5 for ratio in ratios)


def test_bfloat16_is_gained_by_where_the_core_has_its_instructions() -> None:
    has_them = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    num_threads = torch.get_num_threads()
    assert gain_of_bf16() > 1.2 if has_them else gain_of_bf16() < 1.2
    assert torch.get_num_threads() == num_threads


def test_a_step_costs_what_the_plan_says(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()})
    train_stage.run(recipe, run)
    model, phase = AutoModelForCausalLM.from_pretrained(run.system("base") / "model"), recipe.systems["base"].phases[0]
    rows, _ = make_rows(mixture_tokens(run, phase.mixture, "base"), phase)
    schedule = make_schedule(len(rows), phase, (3, 0))
    settings = Train(micro_batch_tokens=200)
    two_processes = cast(Accelerator, SimpleNamespace(num_processes=2, device=torch.device("cpu")))
    whole = flops(model, count_tokens(rows, schedule, 2, 200), phase)
    speed = speed_of(model, rows, schedule, phase, settings, two_processes)
    assert speed.flops_per_step == pytest.approx(whole / schedule.num_steps)


def test_the_progress_line_says_what_a_trainer_watches() -> None:
    row: dict[str, Any] = {"loss": 2.3456, "loss_bits_per_byte": 0.789, "supervised_tokens": 5000, "seconds": 2.0}
    row |= {"learning_rate": 5.5e-4, "step": 10}
    note = progress_note(row, Speed(1e9, 1e10))
    assert note == "loss 2.346  0.789 bits/byte  2,500 supervised tokens/s  LR 5.5e-04  MFU 50%"
    assert as_much_as_fits(note, 40) == "loss 2.346  0.789 bits/byte"
    assert as_much_as_fits(note, 200) == note and as_much_as_fits(note, 5) == ""
