"""Text beyond one machine: the same rows pass as in the data stage, shard by shard, and finished shards stay."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.command_line import crosstune

from crosstune.data import stage
from crosstune.data.rows import BadRow, Row
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.prompts.examples import read_examples
from crosstune.recipe import yaml_file
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.runs.lock import only_process_in

pytest.importorskip("datatrove", reason="the extra `scale` is not installed")

from crosstune.data import scale
from crosstune.data.scale import Where, filter_source

EVALUATED = "가을이 왔다 잎이 졌다 그리고 겨울이 왔다."


@pytest.fixture
def content(recipe_content: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe whose text lies in three packed shards, some of it bad."""
    root = tmp_path / "corpora"
    root.mkdir()
    for shard in range(3):
        rows = [{"text": f"{shard}번째 조각의 {number}번째 문서입니다."} for number in range(40)]
        rows += [{"text": EVALUATED}, {"text": "all of this is English"}, {"text": " \x00"}]
        with gzip.open(root / f"korean_{shard}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    (root / "reviews.txt").write_text(f"id\tdocument\tlabel\n1\t{EVALUATED}\t1\n", encoding="utf-8")
    recipe_content["data_root"], recipe_content["runs_root"] = str(root), str(tmp_path / "runs")
    recipe_content["data"]["sources"]["korean"] = {"kind": "text", "language": "ko", "paths": ["korean_*.jsonl.gz"]}
    recipe_content["data"]["mixtures"] = {"korean": [{"source": "korean"}]}
    recipe_content["systems"]["ours"]["phases"][0]["mixture"] = "korean"
    recipe_content["evaluate"]["tasks"] = {"nsmc": {"task": "nsmc_generate", "paths": ["reviews.txt"]}}
    return recipe_content


def write(content: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml_file.dump(yaml_file.validate(content, "r")), encoding="utf-8")
    return str(path)


def test_the_same_rows_pass_as_in_the_data_stage_and_become_a_source(content: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "filtered"
    done = crosstune("filter", write(content, tmp_path), "korean", str(out), "--workers", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    counts = [read_json(path) for path in sorted((out / "counts").iterdir())]
    shard = {"evaluation overlap: nsmc": 1, "other language": 1, "empty": 1}
    assert counts == [{"read": 43, "dropped": shard}] * 3 and "filtered korean" in done.stderr
    assert len(list((out / "text").glob("*.parquet"))) == 3

    run = RunFolder(tmp_path / "runs" / "small")
    stage.run(yaml_file.validate(content, "r"), run)
    direct = {example.completion for example in read_examples(run.mixture("korean") / "examples.parquet")}
    content["data"]["sources"]["korean"]["paths"] = [f"{out}/text/*.parquet"]
    again = RunFolder(tmp_path / "runs" / "again")
    stage.run(yaml_file.validate(content, "r"), again)
    assert {one.completion for one in read_examples(again.mixture("korean") / "examples.parquet")} == direct
    assert len(direct) == 120
    dropped = [drop for path in sorted((out / "dropped").glob("*.jsonl")) for drop in read_jsonl(path)]
    expected = read_jsonl(run.mixture("korean") / "dropped.jsonl")
    key = lambda drop: (drop["origin"], drop["reason"])  # noqa: E731
    assert sorted(map(key, dropped)) == sorted(map(key, expected)) and len(dropped) == 9


def test_finished_shards_are_not_made_again_and_a_lost_one_is(content: dict[str, Any], tmp_path: Path) -> None:
    recipe, out = write(content, tmp_path), tmp_path / "filtered"
    assert crosstune("filter", recipe, "korean", str(out)).returncode == 0
    before = {path.name: path.stat().st_mtime_ns for path in (out / "text").iterdir()}
    # As after a kill: one task has not said that it is done.
    (out / "logs" / "completions" / "00001").unlink()
    assert crosstune("filter", recipe, "korean", str(out)).returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / "text").iterdir()}
    assert [name for name in sorted(before) if before[name] != after[name]] == ["00001.parquet"]
    other = crosstune("filter", recipe, "korean", str(out), "data.quality.min_script_share=0.5")
    assert other.returncode == 2 and "filtered with other settings" in other.stderr


def test_two_do_not_write_into_one_folder_at_a_time(content: dict[str, Any], tmp_path: Path) -> None:
    recipe, out = write(content, tmp_path), tmp_path / "filtered"
    with only_process_in(out, "-"):
        done = crosstune("filter", recipe, "korean", str(out), "name=another_run")
    assert done.returncode == 2 and "give another folder as OUT" in " ".join(done.stderr.split())
    assert [path.name for path in out.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("alpaca", (), "is of kind instructions; text sources: korean"),
        ("nothing", (), "is not one of the recipe's sources"),
        ("korean", ("--executor", "slurm"), "needs --partition"),
        ("hub", (), "tasks cannot share by files. Download it"),
    ],
)
def test_what_cannot_be_filtered_is_refused(
    content: dict[str, Any], tmp_path: Path, source: str, options: tuple[str, ...], message: str
) -> None:
    hub = {"format": "hugging_face", "paths": ["someone/korean"], "split": "train", "revision": "abc1234"}
    content["data"]["sources"]["hub"] = {"kind": "text", "language": "ko", **hub}
    done = crosstune("filter", write(content, tmp_path), source, str(tmp_path / "out"), *options)
    assert done.returncode == 2 and message in " ".join(done.stderr.split())


@pytest.mark.whole
def test_a_changed_file_of_the_same_size_is_noticed(content: dict[str, Any], tmp_path: Path) -> None:
    run, root = RunFolder(tmp_path / "runs" / "small"), tmp_path / "corpora"
    content["data"]["sources"]["korean"]["paths"] = ["korean.txt"]
    (root / "korean.txt").write_text("여름이 왔다.\n", encoding="utf-8")
    recipe = yaml_file.validate(content, "r")
    stage.write_evaluation_sets(recipe, run)
    filter_source(recipe, run, root, "korean", tmp_path / "out", Where(num_tasks=9))
    assert len(list((tmp_path / "out" / "counts").iterdir())) == 1  # At most one task per file.
    (root / "korean.txt").write_text("겨울이 왔다.\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="filtered with other settings, files"):
        filter_source(recipe, run, root, "korean", tmp_path / "out", Where(num_tasks=9))


@pytest.mark.whole
def test_a_task_that_fails_is_not_complete_and_leaves_the_others(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run, out = yaml_file.validate(content, "r"), RunFolder(tmp_path / "runs" / "small"), tmp_path / "out"
    stage.write_evaluation_sets(recipe, run)

    def interrupted(*given: Any) -> Iterator[Row | BadRow]:
        for row in read_source(*given):
            if row.origin == "korean_1.jsonl.gz:9":
                raise EOFError("the machine was taken away")
            yield row

    with monkeypatch.context() as patched:
        patched.setattr(scale, "read_source", interrupted)
        with pytest.raises(EOFError, match="taken away"):
            filter_source(recipe, run, tmp_path / "corpora", "korean", out, Where(num_workers=1))
    assert [path.name for path in (out / "logs" / "completions").iterdir()] == ["00000"]
    filter_source(recipe, run, tmp_path / "corpora", "korean", out, Where(num_workers=1))
    texts = [pq.read_table(path).column("text").to_pylist() for path in sorted((out / "text").iterdir())]
    assert texts == [[f"{shard}번째 조각의 {number}번째 문서입니다." for number in range(40)] for shard in range(3)]


def test_slurm_gets_the_tasks_as_a_job_array_whose_jobs_filter(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run, out = yaml_file.validate(content, "r"), RunFolder(tmp_path / "runs" / "small"), tmp_path / "out"
    stage.write_evaluation_sets(recipe, run)
    where = Where("slurm", time="04:00:00", partition="cpu")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        with pytest.raises(BadInputError, match=r"--executor slurm cannot start here.*sbatch.*or use --executor local"):
            filter_source(recipe, run, tmp_path / "corpora", "korean", out, where)
    commands = tmp_path / "bin"
    commands.mkdir()
    # SLURM in miniature: notes the script, and answers with the number of a job; a job runs what srun is given.
    scripts = {
        "sbatch": 'cp "${@: -1}" "$0.$(ls "$(dirname "$0")" | wc -l)"\necho Submitted batch job 7\n',
        "srun": 'shift 3\n"$@"\n',
        "scontrol": "echo node\n",
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}", encoding="utf-8")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    filter_source(recipe, run, tmp_path / "corpora", "korean", out, where)
    script = min(commands.glob("sbatch.*"))
    settings = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("#SBATCH")]
    assert {f"#SBATCH --{one}" for one in ("partition=cpu", "time=04:00:00", "array=0-2")} <= {*settings}
    job = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_NODELIST": "node"}
    done = subprocess.run(
        ["bash", script], env={**os.environ, **job}, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in (out / "text").iterdir()] == ["00001.parquet"]
