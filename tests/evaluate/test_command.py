"""The harness's own command line finds our model and our tasks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.evaluate.harness.task_files import FOLDER
from crosstune.runs.files import write_jsonl

ONE_PROCESS = [str(Path(sys.executable).with_name("lm_eval"))]
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TWO_PROCESSES = [sys.executable, *LAUNCHER, "-m", "lm_eval"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [ONE_PROCESS, TWO_PROCESSES])
def test_the_harnesss_command_line_scores_a_folder_on_a_local_file(
    command: list[str], tmp_path: Path, model_folder: Path
) -> None:
    item = {"premise": "It fell.", "choice1": "He ran.", "choice2": "He left.", "question": "effect", "label": 0}
    write_jsonl(tmp_path / "items.jsonl", [{"id": str(index), **item} for index in range(3)])
    arguments = [
        *("--model", "crosstune", "--model_args", f"pretrained={model_folder}"),
        *("--tasks", f"{FOLDER / 'crosstune.yaml'},copa_2011_test", "--include_path", str(FOLDER)),
        *("--metadata", f'{{"path": "{tmp_path / "items.jsonl"}"}}'),
    ]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[2]), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("crosstune ({'pretrained'") == 1
    assert re.search(r"\|copa_2011_test\|\s*1\|none\s*\|\s*0\|acc", done.stdout)
