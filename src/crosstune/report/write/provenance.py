"""What others read of how numbers came about: stamps where they may not be what they seem, and no local folder."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from crosstune.recipe import Recipe, yaml_file
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Table
from crosstune.runs.provenance import public_path

OVERLAP = (
    "Training rows that contain texts of the evaluation sets were kept (drop_evaluation_overlap: false). "
    "These scores may reflect memorization."
)

# The settings of a recipe, in any section, that name files and folders.
_PATHS = frozenset(
    ("runs_root", "data_root", "path", "paths", "start", "include_path", "comet_checkpoint", "comet_command")
)


def public_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML, without the folders of the machine that it ran on."""
    return yaml_file.to_yaml(_public(recipe.model_dump(mode="json", exclude_none=True)))


def _public(content: Any, is_path: bool = False) -> Any:
    if isinstance(content, dict):
        return {key: _public(value, key in _PATHS) for key, value in content.items()}
    if isinstance(content, list):
        return [_public(value, is_path) for value in content]
    return public_path(content) if is_path and isinstance(content, str) else content


def seeds(recipe: Recipe) -> str:
    """Return the recipe's seed, and those of systems that were trained with another."""
    others = {name: seed for name in recipe.systems if (seed := recipe.seed_of(name)) != recipe.seed}
    return "; ".join([str(recipe.seed), *(f"{label_of(recipe, name)}: {seed}" for name, seed in others.items())])


def with_provenance(recipe: Recipe, tables: Iterable[Table]) -> list[Table]:
    """Return the tables with the stamp that the recipe has earned, if any; where nothing is trained, there is none."""
    trains = any(system.phases for system in recipe.systems.values())
    stamp = OVERLAP if trains and not recipe.data.quality.drop_evaluation_overlap else ""
    return [replace(table, stamp=stamp) for table in tables]
