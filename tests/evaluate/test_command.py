"""The harness's own command line finds our model and our tasks."""

import re
from pathlib import Path

import pytest

from crosstune.evaluate.harness.task_files import FOLDER
from crosstune.runs.files import write_jsonl
from tests import warm
from tests.ranks import Ranks


@pytest.mark.exhaustive
@pytest.mark.parametrize("num_processes", [1, 2])
def test_the_harnesss_command_line_scores_a_folder_on_a_local_file(
    num_processes: int, tmp_path: Path, model_folder: Path
) -> None:
    item = {"premise": "It fell.", "choice1": "He ran.", "choice2": "He left.", "question": "effect", "label": 0}
    write_jsonl(tmp_path / "items.jsonl", [{"id": str(index), **item} for index in range(3)])
    arguments = [
        *("--model", "crosstune", "--model_args", f"pretrained={model_folder}"),
        *("--tasks", f"{FOLDER / 'crosstune.yaml'},copa_2011_test", "--include_path", str(FOLDER)),
        *("--metadata", f'{{"path": "{tmp_path / "items.jsonl"}"}}'),
    ]
    if num_processes == 1:
        done = warm.run("lm_eval", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        said = done.stdout
    else:
        said = Ranks("lm_eval", *arguments, cwd=tmp_path).finish()
    assert said.count("crosstune ({'pretrained'") == 1
    assert re.search(r"\|copa_2011_test\|\s*1\|none\s*\|\s*0\|acc", said)
