"""Arguments and options that several commands share, and how they read a recipe."""

import inspect
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstune.plan.machines import GPUS
from crosstune.precision import Precision

if TYPE_CHECKING:
    from crosstune.recipe import Recipe

GpuName = Enum("GpuName", {name: name for name in GPUS})  # type: ignore[misc]

RecipePath = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", help="a recipe file, or the name of an included recipe: miniature"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="overrides of settings: seed=2 data_root=../data 'systems.*.start=models/tiny'",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="the smaller run of the recipe's `quick` section")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the resolved recipe, and stop")]
AsJson = Annotated[bool, typer.Option("--json", help="print every score as JSON instead of tables")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="maximum length of an answer, in tokens")]
TemplateOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--template-option",
        metavar="NAME=VALUE",
        help="option of the model's own chat template, such as enable_thinking=false; repeatable",
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="precision of the weights; bf16 is faster on processors with AVX512-BF16 or AMX, and rounds more",
        show_default="float32; on a GPU bf16",
    ),
]
Update = Annotated[bool, typer.Option("--update", help="continue in a run folder with a changed recipe")]


def template_options(given: list[str] | None) -> dict[str, Any]:
    """Return the options of a chat template by their names; values are read as a recipe's.

    Raises:
        BadInputError: for one without a name.
    """
    from crosstune.recipe import yaml_file

    return yaml_file.assignments(given or (), "--template-option")


def in_paragraphs(command: Callable[..., None]) -> str:
    """Return a command's docstring with one line a paragraph: a terminal has another width than this file."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)


def load(path: Path, overrides: list[str] | None, quick: bool = False) -> "Recipe":
    """Read a recipe with its overrides."""
    # Imported here: pydantic and its models take as long as everything else that --help loads.
    from crosstune.recipe import yaml_file

    return yaml_file.load_recipe(path, overrides or (), quick=quick)
