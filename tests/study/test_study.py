"""Studies: what a file may say, the runs it makes, what is shared, and the comparison."""

import csv
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import Recipe, yaml_file
from crosstune.report.scores import Scores
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.runs.records import Score
from crosstune.study import comparison
from crosstune.study.command import run as run_study
from crosstune.study.comparison import SystemScore, corrected
from crosstune.study.differences import SystemDifference
from crosstune.study.run import folder_of, nearest_finished, run_all
from crosstune.study.settings import load_studies, load_study, runs_of
from crosstune.study.tables import tables_of
from tests.command_line import crosstune
from tests.conftest import QUICK
from tests.study.conftest import ROOT, write_study


def test_every_cell_runs_with_every_seed_and_with_what_its_systems_start_from(tmp_path: Path) -> None:
    path = write_study(tmp_path, common={"report.title": "Grid"})
    runs = list(runs_of(load_study(path), path, [f"runs_root={tmp_path}"], quick=False))
    assert [(run.cell, run.seed) for run in runs] == [("paper", 1), ("faster", 1), ("paper", 2), ("faster", 2)]
    assert {folder_of(run).root for run in runs} == {tmp_path / "grid" / f"{run.cell}_seed_{run.seed}" for run in runs}
    for run in runs:
        assert list(run.recipe.systems) == ["llama", "ours"] and run.recipe.report.title == "Grid"
        # The base model is the same for all: it stands for a pretrained one.
        assert (run.recipe.seed_of("ours"), run.recipe.seed_of("llama")) == (run.seed, 1)
    assert runs[3].recipe.systems["ours"].phases[0].learning_rate == 1e-3


@pytest.mark.slow
def test_no_cell_runs_before_all_that_any_cell_starts_from_was_looked_at(tmp_path: Path) -> None:
    cells = {"paper": {}, "lost": {"systems.ours.start": "nowhere"}}
    path = write_study(tmp_path, cells=cells, seeds=[1])
    for dry_run in (True, False):
        with pytest.raises(BadInputError, match=r"cell lost:\nsystems\.ours\.start: 'nowhere'"):
            run_study(path, [f"runs_root={tmp_path}/runs"], quick=True, dry_run=dry_run, command="crosstune study")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_quick_study_leaves_the_folder_of_the_whole_one_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path, seeds=[1])
    for quick, name in ((False, "grid"), (True, "grid_quick")):
        run_study(path, [f"runs_root={tmp_path}/runs"], quick=quick, dry_run=True, command="crosstune study")
        told = "".join(capsys.readouterr().err.split())
        assert f"->{tmp_path}/runs/{name}/paper_seed_1" in told


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "ablations").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_the_repository_loads(path: Path) -> None:
    study = load_study(path)
    assert len(list(runs_of(study, path, [], quick=False))) == len(study.cells) * len(study.seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "nothing"}, "`reference` 'nothing' is not a cell; the cells are paper, faster"),
        ({"seeds": [1, 1]}, "has a duplicate"),
        ({"cells": None}, "cells: missing"),
        ({"grid": {}}, "grid: unknown setting"),
    ],
)
def test_mistakes_of_a_study_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_study(write_study(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": {"paper": {"train.precisoin": "bf16"}}}, r"cells\.paper: .*\n  train\.precisoin: unknown setting"),
        ({"recipe": "missing.yaml"}, r"cells\.paper: .*missing\.yaml: cannot read"),
        ({"common": {"systems.ours": None}, "systems": ["ours"]}, r"cells\.paper: .*\n  systems\.ours\.start: missing"),
        ({"systems": ["llama", "ours"]}, "`systems` holds 'llama', the recipe's evaluate.reference_system"),
    ],
)
def test_mistakes_of_a_cell_are_named_with_it(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(RecipeError, match=message):
        list(runs_of(load_study(path), path, [], quick=False))


def test_a_folder_holds_its_studies_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("second", "first"):
        write_study(tmp_path, name=name).rename(tmp_path / f"{name}.yaml")
    assert [study.name for study in load_studies(tmp_path).values()] == ["first", "second"]
    assert list(load_studies(tmp_path / "second.yaml")) == [tmp_path / "second.yaml"]


def test_studies_of_a_folder_have_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"the folder has no study \(\.yaml\) file; name one"):
        load_studies(tmp_path)
    shutil.copy(write_study(tmp_path), tmp_path / "twin.yaml")
    with pytest.raises(RecipeError, match=r"twin\.yaml: `name` 'grid' is also that of .*study\.yaml"):
        load_studies(tmp_path)


def finish(recipe: Recipe) -> Path:
    """Write what tells a finished run: its recipe and its report."""
    root = recipe.runs_root / recipe.name
    (root / "report").mkdir(parents=True)
    (root / "report" / "report.html").touch()
    (root / "recipe.yaml").write_text(yaml_file.dump(recipe), encoding="utf-8")
    return root


@pytest.mark.slow
def test_a_run_begins_from_the_nearest_finished_one_of_any_study(tmp_path: Path) -> None:
    settings = [f"runs_root={tmp_path}"]

    def runs(name: str, *overrides: str) -> list[Recipe]:
        path = write_study(tmp_path, name=name)
        return [run.recipe for run in runs_of(load_study(path), path, [*settings, *overrides], quick=False)]

    wanted, faster, wanted_again, _ = runs("grid")
    assert nearest_finished(wanted) is None
    # Of another base model, however alike it is otherwise: there is little to share.
    finish(runs("bigger", "systems.llama.phases.0.learning_rate=0.5")[0])
    assert nearest_finished(wanted) is None
    recipe = yaml_file.load_recipe(ROOT / "recipes" / "miniature.yaml", settings)
    of_recipe = finish(recipe)
    assert nearest_finished(wanted) == RunFolder(of_recipe)
    elsewhere = finish(runs("other")[1])
    assert nearest_finished(faster) == RunFolder(elsewhere)
    other_seed = finish(wanted_again)
    assert nearest_finished(wanted) == RunFolder(other_seed)


def test_a_score_that_a_seed_lacks_is_kept_and_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_study(tmp_path)
    study = load_study(path)
    runs = list(runs_of(study, path, [f"runs_root={tmp_path}"], quick=False))

    def scores(recipe: Recipe, _run: RunFolder) -> Scores:
        metrics = ["acc"] if recipe.name == "faster_seed_1" else ["acc", "acc_answered"]
        return {
            (system, "nsmc", metric): Score("nsmc", metric, 0.5, None, None, 10, "")
            for system in ("llama", "ours")
            for metric in metrics
        }

    monkeypatch.setattr(comparison, "read_scores", scores)
    monkeypatch.setattr(comparison, "read_resamples", lambda _recipe, _run: {})
    found = {(one.cell, one.metric): one for one in comparison.compare(study, runs) if one.system == "ours"}
    assert len(found["faster", "acc_answered"].values) == 1 and found["faster", "acc_answered"].to_reference is None
    assert len(found["faster", "acc"].values) == 2 and found["faster", "acc"].to_reference == SystemDifference(0.0)
    assert found["paper", "acc_answered"].to_base == SystemDifference(0.0)


def test_a_task_that_only_one_cell_has_is_in_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"task": "copa_2011_test", "paths": ["copa.xml"]}
    path = write_study(tmp_path, seeds=[1], cells={"paper": {}, "more": {"evaluate.tasks.second_copa": task}})
    study = load_study(path)
    runs = list(runs_of(study, path, [f"runs_root={tmp_path}"], quick=False))

    def scores(recipe: Recipe, _run: RunFolder) -> Scores:
        value = 0.5 if recipe.name == "paper_seed_1" else 0.75
        return {
            (system, label, "acc"): Score(label, "acc", value, None, None, 10, "")
            for system in ("llama", "ours")
            for label in recipe.evaluate.tasks
            if label.endswith("copa")
        }

    monkeypatch.setattr(comparison, "read_scores", scores)
    monkeypatch.setattr(comparison, "read_resamples", lambda _recipe, _run: {})
    recipe, found = comparison.of_all_runs(runs)
    assert [*recipe.evaluate.tasks] == [*runs[0].recipe.evaluate.tasks, "second_copa"]
    assert (found["ours", "copa", "acc"].value, found["ours", "second_copa", "acc"].value) == (0.5, 0.75)
    accuracy, *_ = tables_of(study, recipe, found, comparison.compare(study, runs))
    assert [column.task for column in accuracy.columns if column.task.endswith("copa")][-1] == "second_copa"


def test_p_values_are_corrected_over_the_cells_of_a_task_and_metric() -> None:
    def finding(metric: str, p: float | None) -> SystemScore:
        to_reference = None if p is None else SystemDifference(0.1, 0.0, 0.2, p)
        return SystemScore("cell", "ours", "hellaswag", metric, (0.5,), 10, to_reference, SystemDifference(0.3))

    found = corrected([finding("acc", None), finding("acc", 0.02), finding("acc_norm", 0.03), finding("acc", 0.01)])
    assert [one.to_reference and one.to_reference.p_holm for one in found] == [None, 0.02, 0.03, 0.02]
    assert {one.to_base and one.to_base.p_holm for one in found} == {None}


def test_the_base_is_one_model_without_a_spread_and_named_by_what_starts_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(recipe: Recipe, _run: RunFolder) -> Scores:
        value = 0.4 + 0.1 * recipe.seed_of("ours")
        return {
            (system, "copa", "acc"): Score("copa", "acc", 0.4 if system != "ours" else value, None, None, 10, "")
            for system in recipe.systems
        }

    monkeypatch.setattr(comparison, "read_scores", scores)
    monkeypatch.setattr(comparison, "read_resamples", lambda _recipe, _run: {})
    for base, label in (("llama", "LLaMA, which all start from"), ("lora", "LLaMA (Ko), the reference")):
        path = write_study(tmp_path, common={"evaluate.reference_system": base})
        study = load_study(path)
        runs = list(runs_of(study, path, [f"runs_root={tmp_path}"], quick=False))
        found = comparison.compare(study, runs)
        [one] = [finding for finding in found if finding.system == base]
        assert (one.values, one.sd) == ((0.4,), None)
        assert all(finding.sd == pytest.approx(0.0707, abs=1e-4) for finding in found if finding.system == "ours")
        recipe, of_runs = comparison.of_all_runs(runs)
        rows = tables_of(study, recipe, of_runs, found)[0].rows
        assert [row.label for row in rows if row.system == base] == [label]


@pytest.mark.slow
@pytest.mark.xdist_group("quick_run")
def test_a_recipe_with_seeds_shows_means_and_spreads(quick_run: tuple[Path, str], tmp_path: Path) -> None:
    root = tmp_path / "miniature_quick"
    shutil.copytree(quick_run[0], root / "miniature_quick_seed_1", ignore=shutil.ignore_patterns(".lock"))
    settings = ["systems.lora=null", "systems.continued=null", "systems.bilingual=null", "seeds=[1, 2]"]
    settings += ["systems_at_once=1"]  # what works side by side loads all libraries first
    settings += ["systems.ours.phases.0.num_epochs=null", "systems.ours.phases.0.num_steps=3", f"runs_root={tmp_path}"]
    done = crosstune("run", str(QUICK), "--quick", *settings)
    assert done.returncode == 0, done.stderr[-2000:]
    with (root / "study.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["system"], row["metric"]): row for row in csv.DictReader(file) if row["task"] == "hellaswag"}
    assert rows["ours", "acc"]["num_seeds"] == "2" and float(rows["ours", "acc"]["sd"]) >= 0
    values = []
    for seed in (1, 2):
        scores = read_json(root / f"miniature_quick_seed_{seed}/systems/ours/evaluation/scores.json")["scores"]
        values.append(next(row["value"] for row in scores if (row["task"], row["metric"]) == ("hellaswag", "acc")))
    assert float(rows["ours", "acc"]["mean"]) == pytest.approx(sum(values) / 2)
    assert "LLaMA (Ours)" in (root / "study.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.xdist_group("quick_run")
def test_a_study_shares_what_is_equal_and_compares_the_cells(quick_run: tuple[Path, str], tmp_path: Path) -> None:
    path = write_study(tmp_path, recipe=str(QUICK))
    settings = [f"runs_root={tmp_path}", "systems.ours.phases.0.num_epochs=null", "systems.ours.phases.0.num_steps=3"]
    settings += ["systems_at_once=1"]  # what works side by side loads all libraries first
    # The first run begins from the quick miniature, as a second one does from the first.
    shutil.copytree(quick_run[0], tmp_path / "grid_quick" / "paper_seed_1", ignore=shutil.ignore_patterns(".lock"))
    study = load_study(path).model_copy(update={"name": "grid_quick"})
    runs = list(runs_of(study, path, settings, quick=True))
    run_all([runs[0], runs[2]], "crosstune study")
    first, second = (folder_of(run) for run in (runs[0], runs[2]))
    weights = "systems/llama/model/model.safetensors"
    assert (first.root / weights).samefile(second.root / weights)
    assert not (first.system("ours") / "model/model.safetensors").samefile(
        second.system("ours") / "model/model.safetensors"
    )
    before = (second.root / weights).stat().st_mtime_ns

    done = crosstune("study", str(path), "--quick", *settings)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (second.root / weights).stat().st_mtime_ns == before
    assert "study.md" in done.stdout and "change against the cell paper" in done.stdout
    with (tmp_path / "grid_quick" / "study.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ours = [row for row in rows if row["system"] == "ours" and row["task"] == "copa" and row["metric"] == "acc"]
    assert [(row["cell"], row["num_seeds"], row["n"]) for row in ours] == [("paper", "2", "10"), ("faster", "2", "10")]
    assert not ours[0]["low"] and float(ours[1]["low"]) <= float(ours[1]["difference"]) <= float(ours[1]["high"])
    assert all(float(row["to_base_low"]) <= float(row["to_base"]) <= float(row["to_base_high"]) for row in ours)
    # Two seeds say too little of how seeds vary: nothing is tested, nothing is marked.
    assert not any(row[name] for row in rows for name in ("p", "p_holm", "to_base_p", "to_base_p_holm"))
    report = (tmp_path / "grid_quick" / "study.md").read_text(encoding="utf-8")
    assert "Nothing is marked below three seeds" in report and not set("†") & set(report) and " ▲" not in report
    drawn = ElementTree.parse(tmp_path / "grid_quick" / "gain_1.svg").getroot()
    labels = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "point"}
    assert labels == {"LLaMA", "paper", "faster"} and "(gain_1.svg)" in report
    assert "LLaMA, which all start from" in report and "systems.ours.phases.0.learning_rate=0.001" in report
