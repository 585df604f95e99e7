"""What every table says where the numbers may not be what they seem."""

from collections.abc import Iterable
from dataclasses import replace

from crosstune.recipe import Recipe
from crosstune.report.tables.cells import Table

OVERLAP = (
    "Training rows that hold texts of the evaluation sets were kept: the recipe says drop_evaluation_overlap: false. "
    "These scores may be memory."
)


def with_provenance(recipe: Recipe, tables: Iterable[Table]) -> list[Table]:
    """Return the tables with the stamp that the recipe has earned, if any; where nothing is trained, there is none."""
    trains = any(system.phases for system in recipe.systems.values())
    stamp = OVERLAP if trains and not recipe.data.quality.drop_evaluation_overlap else ""
    return [replace(table, stamp=stamp) for table in tables]
