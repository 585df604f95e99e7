"""The command line: `crosstune run RECIPE`, and the other commands."""

import os
import shlex
import sys
from typing import Annotated

import typer
from rich.markup import escape

from crosstune import __version__
from crosstune.cli import experiments, models, recipes, stages
from crosstune.errors import CrosstuneError, advice_on
from crosstune.terminal import console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Extend an English-centric language model to a new language, and measure what was won and what was "
        "forgotten.\n\nBegin with [bold]crosstune run miniature --quick[/bold]: the whole experiment on two CPU cores "
        "in two minutes, too small to learn much; without --quick it takes a quarter of an hour. Nothing is downloaded."
    ),
)

# Read by a library of torch when it loads.
_ENVIRONMENT = {
    # Idle threads spin for long by default, and where another program wants a core, each parallel product waits for a
    # thread that is not running. A training step of 32 rows on two cores, one of them busy: 1,521 ms; with 16 rows and
    # this short spin 217 ms, and 55 ms when both are free (112 ms without any spin).
    "GOMP_SPINCOUNT": "2000",
}

app.add_typer(recipes.app, name="recipes")
for _name, _command in {**stages.COMMANDS, **experiments.COMMANDS, **models.COMMANDS}.items():
    app.command(name=_name)(_command)


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
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            raise
        console.quiet = False
        # Faults of the disk and of permissions can end any command: they are told here, in one place.
        foreseen = str(error) if isinstance(error, CrosstuneError) else advice_on(error)
        if foreseen is not None:
            console.print("[bold red]error:[/bold red]", escape(foreseen), soft_wrap=True)
            sys.exit(2)
        what = f"{type(error).__name__}: {error}"
        console.print("[bold red]unexpected error:[/bold red]", escape(what), soft_wrap=True)
        again = shlex.join(["crosstune", "--debug", *sys.argv[1:]])
        console.print(escape(f"crosstune did not foresee this. To see where it happened: {again}"), soft_wrap=True)
        sys.exit(1)
