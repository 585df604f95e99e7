"""The command line: `crosstune run RECIPE`, and one command per stage."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from crosstune import __version__, pipeline, recipe_commands
from crosstune.artifacts import RunFolder, read_json
from crosstune.errors import CrosstuneError
from crosstune.recipe_commands import AsJson, DryRun, Overrides, Quick, RecipePath, Update, load
from crosstune.serve import commands
from crosstune.terminal import console, kept_when_stopped, results

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Extend an English-centric language model to a new language, and measure what was won and what was "
        "forgotten.\n\nBegin with [bold]crosstune run recipes/miniature.yaml[/bold]: the whole experiment on two CPU "
        "cores, without any download."
    ),
)

# Read by a library of torch when it loads.
_ENVIRONMENT = {
    # Idle threads spin for long by default, and where another program wants a core, each parallel product waits for a
    # thread that is not running. A training step of 32 rows on two cores, one of them busy: 1,521 ms; with 16 rows and
    # this short spin 217 ms, and 55 ms when both are free (112 ms without any spin).
    "GOMP_SPINCOUNT": "2000",
}


def _start(
    stages: tuple[str, ...],
    path: Path,
    overrides: list[str] | None,
    flags: tuple[bool, bool, bool],
    as_json: bool = False,
) -> None:
    quick, dry_run, update = flags
    recipe = load(path, overrides, quick)
    if dry_run:
        from crosstune.recipe import yaml_file

        sys.stdout.write(yaml_file.dump(recipe))
        return
    if recipe.seeds and stages == pipeline.STAGE_NAMES and not as_json:
        from crosstune.study.command import run_seeds

        with kept_when_stopped():
            run_seeds(recipe, path, overrides or [], quick, shlex.join(["crosstune", *sys.argv[1:]]))
        return
    results.quiet = as_json
    with kept_when_stopped():
        run_folder = pipeline.run_stages(recipe, stages, shlex.join(["crosstune", *sys.argv[1:]]), update)
    if as_json:
        # Imported here: the command line answers --help without loading NumPy.
        from crosstune.report.scores import read_scores, to_json

        sys.stdout.write(to_json(read_scores(recipe, run_folder), recipe.seed))


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    as_json: AsJson = False,
) -> None:
    """Run all stages of a recipe, from raw corpora to the report.

    What is already there for the same inputs and settings is skipped; what was interrupted goes on.
    """
    _start(pipeline.STAGE_NAMES, recipe, overrides, (quick, dry_run, update), as_json)


def _add_stage_command(stage: pipeline.Stage) -> None:
    def command(
        recipe: RecipePath,
        overrides: Overrides = None,
        quick: Quick = False,
        dry_run: DryRun = False,
        update: Update = False,
    ) -> None:
        _start((stage.name,), recipe, overrides, (quick, dry_run, update))

    app.command(name=stage.name, help=f"Run the {stage.name} stage: {stage.purpose}.")(command)


@app.command()
def data(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="also make the tokenizers, and show what training will read of each source")
    ] = False,
) -> None:
    """Run the data stage: raw corpora -> data/mixtures/*/examples.parquet, data/evaluation/*/items.jsonl."""
    _start(("data", "tokenizer") if audit else ("data",), recipe, overrides, (quick, dry_run, update))
    if audit and not dry_run:
        # Imported here: the command line answers --help without loading torch.
        from crosstune.audit import audit as print_audit

        settings = load(recipe, overrides, quick)
        stdout = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
        print_audit(settings, RunFolder(settings.runs_root / settings.name), stdout)


for _stage in pipeline.STAGES[1:-1]:
    _add_stage_command(_stage)


@app.command()
def report(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    as_json: AsJson = False,
    fail_on_forgetting: Annotated[
        bool,
        typer.Option("--fail-on-forgetting", help="exit status 1 where evaluate.max_forgetting is exceeded"),
    ] = False,
) -> None:
    """Run the report stage: everything above -> report/report.html, report.md, tables.csv, tables.tex."""
    _start(("report",), recipe, overrides, (quick, dry_run, update), as_json)
    if fail_on_forgetting and not dry_run:
        settings = load(recipe, overrides, quick)
        found = read_json(RunFolder(settings.runs_root / settings.name).report / "forgetting.json")
        if any(one["verdict"] == "fail" for one in found):
            raise typer.Exit(1)


for _name, _recipe_command in recipe_commands.COMMANDS.items():
    app.command(name=_name)(_recipe_command)
for _command in commands.COMMANDS:
    app.command()(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crosstune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="show a traceback with errors")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print results and errors only")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    console.quiet = quiet
    context.obj = debug


def main() -> None:
    """Run the command line; a user's mistake ends in a message, not in a traceback."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except CrosstuneError as error:
        if "--debug" in sys.argv[1:]:
            raise
        console.quiet = False
        console.print("[bold red]error:[/bold red]", escape(str(error)), soft_wrap=True)
        sys.exit(2)
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            raise
        console.quiet = False
        what = f"{type(error).__name__}: {error}"
        console.print("[bold red]unexpected error:[/bold red]", escape(what), soft_wrap=True)
        again = shlex.join(["crosstune", "--debug", *sys.argv[1:]])
        console.print(escape(f"crosstune did not foresee this. To see where it happened: {again}"), soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
