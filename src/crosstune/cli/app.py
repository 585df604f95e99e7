"""The command line: `crosstune run RECIPE`, and the other commands."""

import os
import shlex
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.markup import escape

from crosstune import __version__
from crosstune.cli import doctor, experiments, init, instruct, mine, models, recipes, stages
from crosstune.cli.options import in_paragraphs
from crosstune.errors import CrosstuneError, advice_on
from crosstune.terminal.output import console, print_traceback
from crosstune.terminal.output import quiet as silenced
from crosstune.terminal.stopping import is_kept

_SECONDS_UNTIL_ASKED_AGAIN = 0.05

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Extend an English-centric language model to a new language, and measure what it gained and "
        "what it forgot.\n\nStart with [bold]crosstune run miniature --quick[/bold]: the whole experiment on two CPU "
        "cores "
        "in a few minutes, too small to learn much; without --quick it takes ten minutes. Nothing is downloaded."
    ),
)

# Read by a library of torch when it loads.
_ENVIRONMENT = {
    # Idle threads spin for long by default, and where another program wants a core, each parallel product waits for a
    # thread that is not running. A training step of 32 rows on two cores, one of them busy: 1,521 ms; with 16 rows and
    # this short spin 217 ms, and 55 ms when both are free (112 ms without any spin).
    "GOMP_SPINCOUNT": "2000",
}

# What a person wants of a command, in the order of `crosstune --help`.
_PANELS = {
    "Experiment": ("run", "study", "report"),
    "Prepare": ("init", "data", "tokenizer", "train", "evaluate", "filter", "mine", "instruct", "sweep", "plan"),
    "Inspect": ("doctor", "score", "judge", "verify"),
    "Use a model": ("chat", "translate", "compare", "serve", "export", "push"),
}
_MODEL = "runs/miniature/systems/ours/model"
# The last line of a command's --help. What names runs/miniature works after `crosstune run miniature`; models, corpora
# and recipe.yaml are the reader's own.
_EXAMPLES = {
    "run": "crosstune run miniature --quick",
    "study": "crosstune study ablations/mixtures --dry-run",
    "report": "crosstune report runs/miniature/recipe.yaml --fail-on-forgetting",
    "init": "crosstune init models/SmolLM2-135M corpora --to ko --hours 3",
    "data": "crosstune data recipe.yaml data_root=../data --audit",
    "tokenizer": "crosstune tokenizer recipe.yaml tokenizer.extension.num_new_pieces=4000",
    "train": "crosstune train recipe.yaml",
    "evaluate": "crosstune evaluate recipe.yaml",
    "filter": "crosstune filter recipe.yaml korean_text OUT --tasks 64",
    "mine": "crosstune mine runs/miniature 'mine.failures={system: ours, mixture: bilingual, max_prompts: 500}'",
    "instruct": f"crosstune instruct runs/miniature/world/instructions/alpaca_data.json OUT --to ko --model {_MODEL}",
    "sweep": "crosstune sweep recipe.yaml --pieces 4000 --pieces 8000",
    "plan": "crosstune plan recipe.yaml --gpu h100 --gpus 8",
    "doctor": "crosstune doctor models/SmolLM2-135M --to ko --gpu rtx4090",
    "verify": "crosstune verify runs/miniature/tokenizer/extended --base runs/miniature/tokenizer/base",
    "score": f"crosstune score {_MODEL} --data-root runs/miniature/world --skip-missing",
    "chat": f"crosstune chat {_MODEL}",
    "translate": f"crosstune translate {_MODEL} book.txt --to ko",
    "compare": "crosstune compare runs/miniature",
    "serve": f"crosstune serve {_MODEL} --port 8000",
    "judge": "crosstune judge runs/miniature --url http://127.0.0.1:8000/v1 --model Qwen3-32B --items 50",
    "export": f"crosstune export {_MODEL} OUT --dtype bf16",
    "push": f"crosstune push {_MODEL} OWNER/NAME --dry-run",
}
_ROOMS = (stages, experiments, mine, instruct, doctor, init, models)
_COMMANDS = {name: command for room in _ROOMS for name, command in room.COMMANDS.items()}
_PANEL_OF = {name: panel for panel, names in _PANELS.items() for name in names}

app.add_typer(recipes.app, name="recipes", rich_help_panel="Prepare")
for _name in sorted(_COMMANDS, key=lambda name: [*_PANEL_OF, *_COMMANDS].index(name)):
    _command, _panel = _COMMANDS[_name], _PANEL_OF.get(_name, "Inspect")
    _epilog = f"Example: {_EXAMPLES[_name]}" if _name in _EXAMPLES else None
    app.command(name=_name, help=in_paragraphs(_command), rich_help_panel=_panel, epilog=_epilog)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crosstune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="show a traceback with errors")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print results and errors only")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    # As long as this command: notebooks and tests run several in one process.
    context.with_resource(silenced(console, quiet))
    context.obj = debug


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at Ctrl-C, but not inside an import, whose libraries would make a bug of it.

    There a command that has done no work yet ends at once; another one, which tidies up and says how it goes on, when
    the import has ended.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            if is_kept():
                signal.signal(signal.SIGALRM, _interrupt)
                signal.setitimer(signal.ITIMER_REAL, _SECONDS_UNTIL_ASKED_AGAIN)
                return
            console.show_cursor()
            console.print()
            os._exit(128 + signal.SIGINT)
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a user's mistake ends in a message, not in a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.excepthook = print_traceback
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            raise
        # Faults of the disk and of permissions can end any command: they are told here, in one place.
        foreseen = str(error) if isinstance(error, CrosstuneError) else advice_on(error)
        if foreseen is not None:
            console.print("[bold red]error:[/bold red]", escape(foreseen), soft_wrap=True)
            sys.exit(2)
        what = f"{type(error).__name__}: {error}"
        console.print("[bold red]unexpected error:[/bold red]", escape(what), soft_wrap=True)
        again = shlex.join(["crosstune", "--debug", *sys.argv[1:]])
        console.print(escape(f"This is probably a bug in crosstune. To see where it happened: {again}"), soft_wrap=True)
        sys.exit(1)
