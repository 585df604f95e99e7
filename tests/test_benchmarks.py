"""The benchmarks' code runs, with models too small to time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import crosstune

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_gpu_benchmark_runs_tiny_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_train.py"), "--tiny", "--seconds", "1"]
    command += ["--variants", "crosstune", "crosstune_fp8", "trainer", "--json", str(tmp_path / "gpu.json")]
    environment = {**os.environ, "PYTHONPATH": str(Path(crosstune.__file__).parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    ours, fp8, trainer = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert ours["timed_steps"] >= 1 and ours["tokens_per_second"] > 0 and 0 < ours["share_of_matrix_rate"] < 1
    assert all(loss > 5 for loss in ours["losses"])  # ln 512 = 6.2
    assert trainer["crosstune_is_faster"] == pytest.approx(
        ours["tokens_per_second"] / trainer["tokens_per_second"], abs=0.01
    )
    assert fp8["left_out"] in ("torchao is not installed", "needs a GPU")
