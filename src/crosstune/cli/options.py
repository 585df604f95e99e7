"""Arguments and options that several commands share, and how they read a recipe."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstune.plan.machines import GPUS

if TYPE_CHECKING:
    from crosstune.recipe import Recipe

GpuName = Enum("GpuName", {name: name for name in GPUS})  # type: ignore[misc]

RecipePath = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", help="a recipe file, or the name of one that comes with crosstune: miniature"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="settings that replace the recipe's: seed=2 data_root=../data 'systems.*.start=models/tiny'",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="the smaller run that the recipe's `quick` section describes")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the resolved recipe, and stop")]
AsJson = Annotated[bool, typer.Option("--json", help="print every score as JSON instead of tables")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="where an answer is cut")]
Update = Annotated[bool, typer.Option("--update", help="go on in a run folder whose recipe was different")]


def load(path: Path, overrides: list[str] | None, quick: bool = False) -> "Recipe":
    """Read a recipe with its overrides."""
    # Imported here: pydantic and its models take as long as everything else that --help loads.
    from crosstune.recipe import yaml_file

    return yaml_file.load_recipe(path, overrides or (), quick=quick)
