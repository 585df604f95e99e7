"""The SLURM job trains on two nodes, saves when it is told to end, and goes on when it is submitted again."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_json
from crosstune.train import stage as train_stage
from tests.served import free_port
from tests.train.conftest import MakeRun, losses, phase, scratch, wait_for_steps, weights
from tests.train.test_distributed import FILES

ROOT = FILES.parents[1]
# SLURM in miniature, both nodes being this machine: a step is a process a node, which knows its place among them.
COMMANDS = {
    "scontrol": '[ "$1 $2" = "show hostnames" ] && tr , "\\n" <<< "$3"',
    "srun": """
printf "%s\\n" "$*" > "$STEP"
while [[ $1 == --* ]]; do shift; done
for node in 0 1; do
  SLURM_NODEID=$node SLURM_GPUS_ON_NODE=1 "$@" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=$?; done
exit "${failed:-0}"
""",
}
SYSTEMS = {"base": scratch(phases=[phase("korean", num_steps=3), phase("paper", num_steps=60)])}


def submit(recipe: Recipe, folder: Path) -> psutil.Popen:
    """Start the job as sbatch does: a copy of the script, in the folder that it was submitted from."""
    path = folder / "submitted.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    for name, content in COMMANDS.items():
        (commands / name).write_text(f"#!/usr/bin/env bash\n{content}", encoding="utf-8")
        (commands / name).chmod(0o755)
    script = shutil.copy(FILES / "slurm_2_nodes.sh", folder / "slurm_script")
    job = {
        "SLURM_JOB_ID": str(free_port(20000, 29999)),  # the job's port is 20000 and its last four digits
        "SLURM_JOB_NODELIST": "localhost,elsewhere",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }
    machine = {
        "PATH": os.pathsep.join(map(str, (commands, Path(sys.executable).parent, os.environ["PATH"]))),
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "STEP": str(folder / "step"),
    }
    return psutil.Popen(
        ["bash", script, str(path), "name=small"],
        cwd=ROOT,
        env={**os.environ, **job, **machine},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def scancel(job: psutil.Popen) -> None:
    """Send SIGTERM to all processes of the step, and not to the script and its srun."""
    (srun,) = job.children()
    for process in srun.children(recursive=True):
        process.send_signal(signal.SIGTERM)


@pytest.mark.exhaustive
def test_a_slurm_job_of_two_nodes_is_cancelled_and_goes_on_when_requeued(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, alone = make_run(SYSTEMS, root=tmp_path / "alone")
    train_stage.run(recipe, alone)
    recipe, on_two = make_run(SYSTEMS, root=tmp_path / "on_two", save_every_steps=100)

    job = submit(recipe, tmp_path / "on_two")
    wait_for_steps(on_two, 6, job)
    scancel(job)
    said, _ = job.communicate(timeout=300)
    assert job.returncode != 0
    checkpoint = max((on_two.system("base") / "checkpoints").glob("phase-01-step-*"))
    facts = read_json(checkpoint / "checkpoint.json")
    assert 3 <= facts["step"] < 60, said[-4000:]
    assert "--cpus-per-task=1" in (tmp_path / "on_two" / "step").read_text()

    job = submit(recipe, tmp_path / "on_two")
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said[-4000:]
    assert f"resumes from phase 2, step {facts['step']}" in said
    assert {done["num_processes"] for done in read_json(on_two.system("base") / "system.json")["phases"]} == {2}
    assert losses(on_two, "base") == pytest.approx(losses(alone, "base"), rel=1e-5)
    for key, weight in weights(alone, "base").items():
        torch.testing.assert_close(weights(on_two, "base")[key], weight, rtol=1e-3, atol=5e-5)
