"""Text beyond one machine: the same rows pass as in the data stage, shard by shard, and finished shards stay."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import crosstune

from crosstune.artifacts import RunFolder, read_json, read_jsonl
from crosstune.data import stage
from crosstune.examples import read_examples
from crosstune.recipe import yaml_file

pytest.importorskip("datatrove", reason="the extra `scale` is not installed")

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
    recipe_content["systems"]["ours"]["stages"][0]["mixture"] = "korean"
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


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("alpaca", (), "is of kind instructions; there are: korean"),
        ("nothing", (), "is none of the recipe's sources"),
        ("korean", ("--executor", "slurm"), "needs --partition"),
    ],
)
def test_what_cannot_be_filtered_is_refused(
    content: dict[str, Any], tmp_path: Path, source: str, options: tuple[str, ...], message: str
) -> None:
    done = crosstune("filter", write(content, tmp_path), source, str(tmp_path / "out"), *options)
    assert done.returncode == 2 and message in " ".join(done.stderr.split())
