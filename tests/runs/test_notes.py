"""What a run folder says of its stages is true, and a later stage does not go on from what no longer fits."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crosstune.api import read_report
from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.files import read_json, write_json, write_text
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import describe_files
from crosstune.runs.notes import digest_of, refuse_outdated_report


class Stages:
    """Stages that write the files that the real ones end with; ``fails`` ends training before its end."""

    def __init__(self) -> None:
        self.fails = self.content = ""

    def run(self, name: str, recipe: Recipe, run: RunFolder) -> None:
        outputs = {
            "data": run.mixture("m") / "manifest.json",
            "tokenizer": run.tokenizer("base") / "manifest.json",
            "train": run.system("ours") / "system.json",
            "evaluate": run.system("ours") / "evaluation" / "manifest.json",
        }
        if name == "report":
            write_text(run.report / "report.html", "")
        elif name == self.fails:
            outputs[name].unlink(missing_ok=True)
            raise KeyboardInterrupt
        elif not outputs[name].exists() or self.content:
            write_json(outputs[name], {"fingerprint": f"{name} {self.content}"})


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    found = Stages()

    def imported(package: str) -> Any:
        name = package.split(".")[1]

        class Module:
            @staticmethod
            def look_at(recipe: Recipe, names: Sequence[str]) -> None:
                """What looks at the stages' inputs is handed to them, too."""

            @staticmethod
            def score_ahead(recipe: Recipe, run: RunFolder, system: str) -> None:
                """What scores a system while others train is handed to the stage of training."""

            @staticmethod
            def run(recipe: Recipe, run: RunFolder, **_: object) -> None:
                found.run(name, recipe, run)

        return Module

    monkeypatch.setattr(pipeline, "import_module", imported)
    return found


@pytest.fixture
def start(recipe_content: dict[str, Any], tmp_path: Path, stages: Stages) -> Callable[..., RunFolder]:
    recipe_content["runs_root"] = str(tmp_path)

    def run(*names: str, command: str = "crosstune run r.yaml", **changes: Any) -> RunFolder:
        content = recipe_content | changes
        recipe = yaml_file.validate(content, "r")
        return pipeline.run_stages(recipe, names or pipeline.STAGE_NAMES, command, update=True)

    return run


@pytest.mark.slow
def test_a_stage_refuses_what_an_earlier_one_made_of_another_recipe(start: Callable[..., RunFolder]) -> None:
    run = start()
    before = run.recipe.read_text(encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"(?s)crosstune train.*seed: 1 -> 7.*Run `crosstune data RECIPE` first"):
        start("train", seed=7)
    assert run.recipe.read_text(encoding="utf-8") == before
    start("data", "tokenizer", seed=7)
    with pytest.raises(RunFolderError, match=r"(?s)output of `crosstune train`.*seed: 1 -> 7"):
        start("report", seed=7)
    start("train", seed=7)
    start("evaluate", "report", seed=7)


@pytest.mark.slow
def test_what_only_the_report_reads_asks_for_no_earlier_stage(
    start: Callable[..., RunFolder], recipe_content: dict[str, Any]
) -> None:
    start()
    (name, settings), *_ = recipe_content["systems"].items()
    start("report", systems={**recipe_content["systems"], name: {**settings, "label": "Another"}})


@pytest.mark.slow
def test_a_training_that_was_begun_anew_and_killed_is_not_reported(
    start: Callable[..., RunFolder], stages: Stages
) -> None:
    start()
    stages.fails = "train"
    with pytest.raises(KeyboardInterrupt):
        start("train")
    stages.fails = ""
    with pytest.raises(RunFolderError, match="that was begun again and has not ended"):
        start("report")
    start("train")
    start("report")


def test_a_stage_that_was_killed_at_its_first_try_goes_on(start: Callable[..., RunFolder]) -> None:
    run = start("data")
    write_json(run.root / "run.json", {"stages": {"data": {"unfinished": True}}})
    start("data", "tokenizer")
    assert "unfinished" not in read_json(run.root / "run.json")["stages"]["data"]


@pytest.mark.slow
def test_a_stage_that_fails_before_it_changes_anything_leaves_its_note(
    start: Callable[..., RunFolder], stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setattr(Stages, "run", lambda *_: (_ for _ in ()).throw(ValueError("no file")))
    with pytest.raises(ValueError, match="no file"):
        start("data")
    monkeypatch.undo()
    monkeypatch.setattr(
        pipeline, "import_module", lambda name: SimpleNamespace(run=lambda *_: None, look_at=lambda *_: None)
    )
    start("report")


@pytest.mark.slow
def test_what_was_made_from_another_mixture_is_not_scored(start: Callable[..., RunFolder], stages: Stages) -> None:
    start()
    stages.content = "changed corpora"
    start("data")
    with pytest.raises(RunFolderError, match="what `crosstune data` made, which it was made from, is another since"):
        start("evaluate")


@pytest.mark.slow
def test_a_report_of_scores_that_were_made_again_is_not_read(start: Callable[..., RunFolder], stages: Stages) -> None:
    run = start()
    refuse_outdated_report(run)
    stages.content = "changed items"
    start("evaluate")
    with pytest.raises(RunFolderError, match="tells of what `crosstune evaluate` made before, and another is there"):
        read_report(run)
    start("report")
    refuse_outdated_report(run)


@pytest.mark.slow
def test_what_a_killed_process_left_beside_a_folder_is_no_part_of_what_was_made(
    start: Callable[..., RunFolder],
) -> None:
    run = start()
    before = digest_of(run, "data")
    # As a kill leaves them before a folder takes its place, and behind it.
    for left in (".m.tmp", ".m.old"):
        shutil.copytree(run.mixture("m"), run.mixture(left))
    assert digest_of(run, "data") == before
    start("evaluate")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scores.json", "outputs.jsonl"])
@pytest.mark.parametrize("change", [lambda path: write_text(path, "better"), Path.unlink])
def test_scores_and_answers_that_were_edited_or_lost_are_not_reported(
    start: Callable[..., RunFolder], name: str, change: Callable[[Path], Any]
) -> None:
    run = start()
    folder = run.system("ours") / "evaluation"
    for file in ("scores.json", "outputs.jsonl"):
        write_text(folder / file, "as written")
    write_json(
        folder / "manifest.json", {"fingerprint": "evaluate ", "files": describe_files(folder, ("manifest.json",))}
    )
    start("report")
    change(folder / name)
    with pytest.raises(
        RunFolderError, match=rf"(?s)not what was written: systems/ours/evaluation/{name} .*Run `crosstune evaluate"
    ):
        start("report")


@pytest.mark.slow
def test_weights_that_were_exchanged_since_are_not_reported(start: Callable[..., RunFolder]) -> None:
    run = start()
    system = run.system("ours")
    write_text(system / "model" / "model.safetensors", "weights")
    files = describe_files(system / "model")
    write_json(system / "system.json", {"fingerprint": "train ", "model": "./systems/ours/model", "files": files})
    start("report")
    write_text(system / "model" / "model.safetensors", "others!")
    with pytest.raises(RunFolderError, match=r"systems/ours/model/model\.safetensors has other content"):
        start("report")
    (system / "model" / "model.safetensors").unlink()
    start("report")  # What is gone says nothing else.


@pytest.mark.slow
def test_a_copy_without_its_hidden_files_does_not_pass_for_what_it_was_made_of(start: Callable[..., RunFolder]) -> None:
    run = start()
    shutil.rmtree(run.root / ".stages")
    with pytest.raises(
        RunFolderError, match=r"the settings that it was made with are not known: .*data\.yaml is missing"
    ):
        start("report", seed=7)
    start()
    start("report")


@pytest.mark.slow
def test_run_json_names_the_command_that_made_what_lies_there(
    start: Callable[..., RunFolder], stages: Stages, tmp_path: Path
) -> None:
    run = start(command="crosstune run first.yaml")
    start(command="crosstune run second.yaml")
    facts = read_json(run.root / "run.json")
    assert facts["stages"]["train"]["command"] == "crosstune run first.yaml"
    assert facts["command"] == facts["stages"]["report"]["command"] == "crosstune run second.yaml"
    stages.content = "new"
    start(command="crosstune run third.yaml")
    facts = read_json(run.root / "run.json")
    assert {facts["command"], facts["stages"]["train"]["command"]} == {"crosstune run third.yaml"}


@pytest.mark.slow
def test_run_json_says_how_each_system_read_rows_in_training_and_evaluation(start: Callable[..., RunFolder]) -> None:
    run = start()
    assert "reading" not in read_json(run.root / "run.json")["stages"]["train"]
    proofs = [{"use": use, "way": "packed", "measured": []} for use in ("training", "scoring")]
    for name in ("ours", "gone"):
        write_json(run.system(name) / "system.json", {"fingerprint": "x", "phases": [{"reading": proofs[0]}, {}]})
        write_json(run.system(name) / "evaluation" / "manifest.json", {"fingerprint": "x", "reading": proofs[1:]})
    start()
    noted = read_json(run.root / "run.json")["stages"]
    assert noted["train"]["reading"] == {"ours": proofs[:1]} and noted["evaluate"]["reading"] == {"ours": proofs[1:]}
    assert "reading" not in noted["data"]


@pytest.mark.slow
def test_a_folder_that_was_moved_is_the_same_run(
    recipe_content: dict[str, Any], tmp_path: Path, stages: Stages
) -> None:
    def run(root: Path) -> RunFolder:
        recipe = yaml_file.validate({**recipe_content, "runs_root": str(root)}, "r")
        return pipeline.run_stages(recipe, pipeline.STAGE_NAMES, "crosstune run", update=False)

    made = run(tmp_path / "here")
    shutil.move(made.root, tmp_path / "there" / made.root.name)
    run(tmp_path / "there")
