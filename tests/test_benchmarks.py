"""The benchmarks' code runs, with models too small to time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm

ROOT = Path(__file__).parent.parent


def run_benchmark(name: str, *arguments: str) -> None:
    done = warm.run(str(ROOT / "benchmarks" / name), *arguments, environment={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "amount", "equal"),
    [("multiple_choice", "--items", "largest_difference"), ("generation", "--prompts", "equal_answers")],
)
def test_evaluation_benchmarks_run_tiny_and_their_sides_agree(
    tmp_path: Path, name: str, amount: str, equal: str
) -> None:
    out = tmp_path / "found.json"
    run_benchmark(f"{name}.py", "--shape", "tiny", amount, "3", "--rounds", "1", "--json", str(out))
    found = json.loads(out.read_text())
    theirs, ours, _ = found["sides"]
    assert theirs["ratio"] == 1 and ours["ratio"] > 0 and found["hardware"]
    assert ours[equal] == 3 if equal == "equal_answers" else float(ours[equal]) <= 1e-4


@pytest.mark.exhaustive
def test_the_training_benchmark_compares_with_ours_in_each_precision(tmp_path: Path) -> None:
    run = ("--model", "miniature", "--precision", "bf16", "--variants", "crosstune")
    run_benchmark("training.py", *run, "--json", str(tmp_path / "found.json"))
    ours, in_float32 = json.loads((tmp_path / "found.json").read_text())["results"]
    assert ours["settings"]["bf16"] and ours["crosstune_is_faster"] == 1 and ours["largest_loss_difference"] == 0
    assert not in_float32["settings"]["bf16"] and 0 < in_float32["largest_loss_difference"] <= 1e-4
    ratios = [a["cpu_seconds"] / b["cpu_seconds"] for a, b in zip(in_float32["steps"], ours["steps"], strict=True)]
    assert in_float32["crosstune_is_faster"] == pytest.approx(sorted(ratios[1:])[2], abs=0.006)


@pytest.mark.exhaustive
def test_the_input_benchmark_measures_every_size(tmp_path: Path) -> None:
    run_benchmark("input_pipeline.py", "--rows", "600", "1300", "--json", str(tmp_path / "found.json"))
    sizes = json.loads((tmp_path / "found.json").read_text())["sizes"]
    assert [size["rows"] for size in sizes] == [600, 1300]
    assert all(size["milliseconds_a_step"] > 0 and size["cpu_seconds_to_first_step"] > 0 for size in sizes)


@pytest.mark.slow
def test_the_optimizer_benchmark_runs_tiny(tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="the extra eight_bit is not installed")
    run_benchmark("optimizer.py", "--shape", "tiny", "--steps", "1", "--json", str(tmp_path / "found.json"))
    plain, small = json.loads((tmp_path / "found.json").read_text())["results"]
    assert plain["bytes_per_weight"] == 8 > small["bytes_per_weight"] and small["nanoseconds_per_weight"] > 0


@pytest.mark.exhaustive
def test_the_gpu_benchmark_runs_tiny_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    variants = ("--variants", "crosstune_grouped_kernels", "crosstune_fp8", "trainer")
    run_benchmark("gpu_train.py", "--tiny", "--seconds", "1", *variants, "--json", str(tmp_path / "gpu.json"))
    ours, fp8, trainer = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert ours["timed_steps"] >= 1 and ours["tokens_per_second"] > 0 and 0 < ours["share_of_matrix_rate"] < 1
    assert all(loss > 5 for loss in ours["losses"])  # ln 512 = 6.2
    assert trainer["crosstune_is_faster"] == pytest.approx(
        ours["tokens_per_second"] / trainer["tokens_per_second"], abs=0.01
    )
    assert fp8["left_out"] in ("torchao is not installed", "needs a GPU")


def test_the_gpu_benchmark_says_first_what_it_lacks_and_how_to_bring_it() -> None:
    bare = [sys.executable, "-S", str(ROOT / "benchmarks" / "gpu_train.py"), "--tiny"]
    done = subprocess.run(
        bare, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}, timeout=60
    )
    assert done.returncode == 2
    message = " ".join(done.stderr.split())
    assert "this needs torch transformers" in message and "pydantic ruamel.yaml: pip install torch" in message
    assert "Where there is no network" in message and "pip install --no-index --find-links wheels torch" in message
