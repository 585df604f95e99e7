"""What an override or a file changes of a recipe: a name that is not there is an error, not left alone in silence."""

from pathlib import Path

import pytest

from crosstune.errors import RecipeError
from crosstune.recipe.yaml_file import load_recipe

MINIATURE = Path("recipes/miniature.yaml")


def test_null_leaves_out_what_is_there_and_refuses_a_name_that_is_not() -> None:
    assert "lora" not in load_recipe(MINIATURE, ["systems.lora=null"]).systems
    # A shell expands braces only where they are not quoted.
    with pytest.raises(RecipeError, match=r"there is no '\{lora,continued\}' to leave out; there are: .*lora"):
        load_recipe(MINIATURE, ["systems.{lora,continued}=null"])
    assert load_recipe(MINIATURE, ["train.log_every_steps=null"]) == load_recipe(MINIATURE)


def test_a_file_that_leaves_out_what_its_base_has_not_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: {MINIATURE.resolve()}\nsystems: {{lorra: null}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"recipe.yaml: systems: there is no 'lorra' to leave out"):
        load_recipe(recipe)
