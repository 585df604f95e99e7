"""Recipes come with an installed crosstune: listed, copied, run by name, described for editors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.errors import RecipeError
from crosstune.recipe import shipped, yaml_file
from crosstune.study.settings import load_studies, load_study, runs_of
from tests.command_line import crosstune

ROOT = Path(__file__).parents[2]
STUDY = ("study", "ablations/mixtures", "--dry-run")


def test_every_recipe_of_the_source_tree_has_a_name() -> None:
    others = {"ablations", "launch"}
    expected = [path for path in (ROOT / "recipes").rglob("*.yaml") if not others & {*path.parts}]
    assert sorted(shipped.recipes().values()) == sorted(expected)
    assert {"miniature", "llama2_7b_korean/paper", "real_small"} <= set(shipped.recipes())


def test_a_recipe_is_run_by_its_name_where_no_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("miniature", "miniature.yaml", "recipes/miniature.yaml"):
        assert yaml_file.load_recipe(Path(name)).name == "miniature"
    (tmp_path / "miniature").write_text("name: mine")
    assert shipped.find(Path("miniature")).read_text(encoding="utf-8") == "name: mine"
    with pytest.raises(RecipeError, match=r"nothing: cannot read this recipe .*included with crosstune: .*miniature"):
        yaml_file.load_recipe(Path("nothing"))


def test_a_copy_brings_what_it_is_based_on_and_replaces_nothing(tmp_path: Path) -> None:
    written = shipped.copy("llama2_7b_korean/bilingual", tmp_path / "new")
    assert [path.name for path in written] == ["bilingual.yaml", "paper.yaml"]
    overrides = ["data_root=corpora"]
    assert yaml_file.load_recipe(written[0], overrides).name == "llama2_7b_korean_bilingual"
    with pytest.raises(RecipeError, match="already exists"):
        shipped.copy("llama2_7b_korean/paper", tmp_path / "new")
    with pytest.raises(RecipeError, match="'other' is not a recipe included with crosstune"):
        shipped.copy("other", tmp_path)


def test_a_study_is_found_by_its_name_and_copied_with_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sorted(shipped.studies().values()) == sorted((ROOT / "recipes" / "ablations").rglob("*.yaml"))
    for name in ("ablations/mixtures", "ablations/mixtures.yaml", "recipes/ablations/mixtures.yaml"):
        assert [study.name for study in load_studies(Path(name)).values()] == ["mixtures"]
    on_the_miniature = [name for name in shipped.studies() if name.count("/") == 1]
    assert len(load_studies(Path("ablations"))) == len(on_the_miniature)
    assert [study.name for study in load_studies(Path("ablations/real_model")).values()] == ["smollm2_korean_ablations"]
    with pytest.raises(RecipeError, match=r"nothing: there is no such study\. .*ablations/mixtures"):
        load_studies(Path("nothing"))
    study, *recipes = shipped.copy("ablations/transfer", Path())
    assert (study, recipes) == (Path("ablations/transfer.yaml"), [Path("miniature_long.yaml"), Path("miniature.yaml")])
    assert {run.recipe.data_root for run in runs_of(load_study(study), study, [], quick=True)} == {None}


def test_the_schema_explains_settings() -> None:
    schema = json.loads(crosstune("recipes", "schema").stdout)
    described = schema["$defs"]["Phase"]["properties"]["global_batch_size"]
    assert "rows per optimizer step" in described["description"] and described["minimum"] == 1
    assert "miniature" in crosstune("recipes", "list").stdout == crosstune("recipes").stdout


@pytest.mark.slow
def test_a_wheel_brings_recipes_types_and_commands(tmp_path: Path) -> None:
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    target = ["install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *target], check=True, capture_output=True)
    assert (installed / "crosstune" / "py.typed").is_file()
    program = """
import crosstune, sys
from crosstune.recipe import shipped
assert crosstune.__file__.startswith(sys.argv[1]), crosstune.__file__
print(*shipped.recipes())
"""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(
        [sys.executable, "-c", program, str(installed)],
        check=True,
        capture_output=True,
        env=environment,
        cwd=empty,
        text=True,
    ).stdout.split()
    assert found == list(shipped.recipes())
    dry_run = [sys.executable, "-m", "crosstune", "run", "miniature", "--quick", "--dry-run"]
    done = subprocess.run(dry_run, check=True, capture_output=True, env=environment, cwd=empty, text=True)
    assert "name: miniature_quick" in done.stdout
    assert f"crosstune {' '.join(STUDY)}" in crosstune("study", "--help").stdout
    dry_run = [sys.executable, "-m", "crosstune", *STUDY]
    done = subprocess.run(dry_run, check=True, capture_output=True, env=environment, cwd=empty, text=True)
    assert "mixtures: paper, seed 1" in done.stderr
