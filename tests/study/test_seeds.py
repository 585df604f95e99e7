"""What a study makes once with each seed, and what it refuses to count as several runs."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.errors import BadInputError, RecipeError, RunFolderError
from crosstune.recipe import yaml_file
from crosstune.runs import pipeline
from crosstune.study.settings import load_study, runs_of, study_of_seeds
from tests.study.conftest import ROOT, write_study

MERGED = {"systems.mixed": {"start": "ours", "tokenizer": "extended", "merge": {"weight": 0.5}}}


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({}, ["systems.ours.seed=7"], r"systems\.ours\.seed is set to 7 for all runs.*the same one 2 times"),
        ({}, ["systems.*.seed=7"], "leave it out; the study's own `seeds` are"),
        (
            {"systems": ["mixed"], "common": MERGED},
            [],
            r"'mixed' would be the same model with each of the 2 `seeds`.*\(ours\) is made once\. Add the trained",
        ),
    ],
)
def test_one_model_does_not_count_as_several_seeds(
    tmp_path: Path, changes: dict[str, Any], overrides: list[str], message: str
) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(RecipeError, match=message):
        list(runs_of(load_study(path), path, overrides, quick=False))
    alone = load_study(path).model_copy(update={"seeds": (1,)})
    assert len(list(runs_of(alone, path, overrides, quick=False))) == 2
    if "systems" in changes:
        both = load_study(path).model_copy(update={"systems": ("ours", "mixed")})
        assert len(list(runs_of(both, path, overrides, quick=False))) == 4


def test_the_recipe_of_a_run_is_a_valid_recipe_whatever_is_not_compared(tmp_path: Path) -> None:
    pairs = {"mine.failed": {"system": "ours", "mixture": "paper"}, "mine.kept": {"system": "lora", "mixture": "paper"}}
    path = write_study(tmp_path, systems=["lora"], common=pairs, seeds=[1], cells={"paper": {}})
    (run,) = runs_of(load_study(path), path, [f"runs_root={tmp_path}"], quick=False)
    (tmp_path / "recipe.yaml").write_text(yaml_file.dump(run.recipe), encoding="utf-8")
    assert yaml_file.load_recipe(tmp_path / "recipe.yaml") == run.recipe
    assert [*run.recipe.systems] == ["llama", "lora"] and [*run.recipe.mine] == ["kept"]


def test_systems_that_are_only_merged_run_with_each_seed_of_a_recipe(tmp_path: Path) -> None:
    path = ROOT / "recipes" / "smollm2_korean" / "chat_vector.yaml"
    recipe = yaml_file.load_recipe(path, ["seeds=[1, 2]", f"runs_root={tmp_path}"])
    study = study_of_seeds(recipe, path)
    assert study.systems == ("chat_then_korean", "korean", "vector", "half_vector")
    for run in runs_of(study, path, [], quick=False):
        assert run.recipe.seed_of("korean") == run.seed and "half_vector" in run.recipe.systems


def test_scores_as_json_are_those_of_one_run() -> None:
    done = CliRunner().invoke(app.app, ["run", "miniature", "--quick", "--json", "seeds=[1, 2]"])
    assert isinstance(done.exception, BadInputError)
    assert "leave out --json and read study.csv, or set seeds=[]" in str(done.exception)


@pytest.mark.slow
def test_a_recipe_with_seeds_is_a_study_of_its_adapted_systems(tmp_path: Path) -> None:
    path = ROOT / "recipes" / "miniature.yaml"
    overrides = ["seeds=[4, 5]", f"runs_root={tmp_path}"]
    recipe = yaml_file.load_recipe(path, overrides)
    study = study_of_seeds(recipe, path)
    runs = list(runs_of(study, path, overrides, quick=False))
    assert study.systems == ("lora", "continued", "ours", "bilingual")
    assert [(run.cell, run.seed, run.recipe.seeds) for run in runs] == [("miniature", 4, ()), ("miniature", 5, ())]
    assert {run.recipe.seed_of("llama") for run in runs} == {1}
    assert [run.recipe.seed_of("bilingual") for run in runs] == [4, 5]
    with pytest.raises(RecipeError, match="has a duplicate"):
        yaml_file.load_recipe(path, ["seeds=[4, 4]"])
    alone = yaml_file.load_recipe(path, ["seeds=[4, 5]", *(f"systems.{name}=null" for name in study.systems)])
    with pytest.raises(RecipeError, match=r"`seeds` \[4, 5\] are for systems that are trained and compared with llama"):
        study_of_seeds(alone, path)
    with pytest.raises(RecipeError, match="remove `seed` of ours"):
        yaml_file.load_recipe(path, ["seeds=[4, 5]", "systems.ours.seed=3"])
    with pytest.raises(RunFolderError, match=r"has seeds \[4, 5\].*add seeds=\[\]"):
        pipeline.run_stages(recipe, ("data",), "crosstune data", update=False)
