"""Two processes score as one does, and each does its part."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.evaluate import ranks, stage
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scoring import ScoredPair, share_of_this_process
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RunFolder
from tests.evaluate.test_stage import recipe, run
from tests.launched import launched
from tests.ranks import Ranks

__all__ = ["recipe", "run"]
# Of each rank's answers, so that the test sees who wrote what.
PROGRAM = """
import sys
from pathlib import Path
from crosstune.runs.folder import RunFolder
from crosstune.evaluate import outputs, ranks, stage
from crosstune.recipe import yaml_file
append, counts = outputs.OutputLog.append, []
outputs.OutputLog.append = lambda log, row: (counts.append(row["task"]), append(log, row))
stage.run(yaml_file.load_recipe(Path(sys.argv[1])), RunFolder(Path(sys.argv[2])))
Path(sys.argv[2], f"answered_by_{ranks.rank()}").write_text(str(len(counts)))
"""


@pytest.mark.slow
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 5))
def test_every_part_is_somebodys_and_the_loads_are_alike(sizes: list[int], number: int) -> None:
    parts = []
    for rank in range(number):
        with pytest.MonkeyPatch.context() as patch:
            launched(patch, number, rank)
            parts.append(ranks.share(sizes))
    assert sorted(place for part in parts for place in part) == list(range(len(sizes)))
    loads = [sum(sizes[place] for place in part) for part in parts]
    assert max(loads) - min(loads) <= max(sizes, default=0)


def test_endings_of_one_context_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [ScoredPair([question], [ending]) for ending in range(4) for question in range(7)]
    parts = []
    for rank in range(3):
        launched(monkeypatch, 3, rank)
        parts.append(share_of_this_process(pairs))
    assert sorted(index for part in parts for index in part) == list(range(28))
    contexts = [{pairs[index].context[0] for index in part} for part in parts]
    assert sum(map(len, contexts)) == 7 and all(contexts)


def test_answers_of_all_processes_are_found_by_however_many_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "wait", lambda: None)
    for rank in range(3):
        with pytest.MonkeyPatch.context() as patch:
            launched(patch, 3, rank)
            with OutputLog(tmp_path / ".partial.jsonl", "a") as log:
                log.append({"task": "t", "id": str(rank)})
    assert len(list(tmp_path.iterdir())) == 3
    with OutputLog(tmp_path / ".partial.jsonl", "a") as log:
        assert log.num_found == 3 and set(log.rows_of("t")) == {"0", "1", "2"}
        assert len(list(tmp_path.iterdir())) == 1
        log.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_processes_score_as_one_does(recipe: Recipe, run: RunFolder, tmp_path: Path) -> None:
    path, program = tmp_path / "recipe.yaml", tmp_path / "program.py"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    program.write_text(PROGRAM, encoding="utf-8")
    Ranks(str(program), str(path), str(run.root)).finish()
    found = {}
    for name in ("base", "ours"):
        folder = run.system(name) / "evaluation"
        found[name] = read_jsonl(folder / "outputs.jsonl"), read_json(folder / "scores.json")
        (folder / "manifest.json").unlink()
        assert not list(run.system(name).glob(".evaluation*"))
    answered = [int((run.root / f"answered_by_{rank}").read_text()) for rank in range(2)]
    # Two systems: four cells of two sentences, three reviews, and four questions with four endings each.
    assert sum(answered) == 2 * (4 * 2 + 3 + 4 * 4) and min(answered) > 2 * 4
    stage.run(recipe, run)
    for name, (rows, scores) in found.items():
        folder = run.system(name) / "evaluation"
        alone = read_jsonl(folder / "outputs.jsonl")
        assert [row["output"] for row in rows] == [row["output"] for row in alone]
        for row, other in zip(rows, alone, strict=True):
            assert row.get("log_likelihoods") == pytest.approx(other.get("log_likelihoods"), abs=1e-5)
        assert scores == read_json(folder / "scores.json")
