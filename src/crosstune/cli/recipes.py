"""The commands around the recipes that come with crosstune."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from crosstune.terminal.output import new_table, results

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: crosstune recipes copy miniature .")
def recipes(context: typer.Context) -> None:
    """List and copy the recipes included with crosstune, or print the recipe schema; without a command, list them."""
    if context.invoked_subcommand is None:
        list_recipes()


@app.command("list")
def list_recipes() -> None:
    """List the recipes and studies included with crosstune.

    Run one by its name: a recipe with `crosstune run`, a study with `crosstune study`.

    Example: crosstune run miniature --quick
    """
    from crosstune.recipe import shipped, yaml_file

    for kind, files in (("recipe", shipped.recipes()), ("study", shipped.studies())):
        shown = new_table()
        shown.add_column(kind, no_wrap=True)
        shown.add_column("what it is")
        for name, path in files.items():
            shown.add_row(name, yaml_file.description_of(path))
        results.print(shown)


@app.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a name that `crosstune recipes list` prints")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="target folder")] = Path("."),
) -> None:
    """Copy a recipe or a study into a folder, with the recipe it is based on, to edit it.

    Example: crosstune recipes copy miniature .
    """
    from crosstune.recipe import shipped

    for path in shipped.copy(name, folder):
        sys.stdout.write(f"{path}\n")


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a recipe, for completion and help in editors.

    Example: crosstune recipes schema > recipe.schema.json, and as the first line of a recipe
    "# yaml-language-server: $schema=recipe.schema.json".
    """
    from crosstune.recipe import Recipe

    sys.stdout.write(json.dumps(Recipe.model_json_schema(), ensure_ascii=False, indent=2) + "\n")
