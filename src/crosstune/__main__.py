"""The command line: `crosstune run RECIPE`, and one command per stage."""

import importlib.util
import json
import os
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from crosstune import __version__, pipeline
from crosstune.artifacts import RunFolder, read_json
from crosstune.errors import BadInputError, CrosstuneError
from crosstune.serve import commands
from crosstune.terminal import console, kept_when_stopped, note, results
from crosstune.train.machines import GPUS, Machine

if TYPE_CHECKING:
    from crosstune.recipe import Recipe

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

# Read by torch's libraries when they load.
_ENVIRONMENT = {
    # Idle threads spin for long by default, and where another program wants a core, each parallel product waits for a
    # thread that is not running. A training step of 32 rows on two cores, one of them busy: 1,521 ms; with 16 rows and
    # this short spin 217 ms, and 55 ms when both are free (112 ms without any spin).
    "GOMP_SPINCOUNT": "2000",
    # oneDNN and PyTorch keep a compiled product for each of the last 1,024 shapes, and packed rows have a
    # new length at every step: after 80 steps of a small model 1,561 MB, and 708 MB like this, in less time.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="a recipe file, such as recipes/miniature.yaml")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="settings that replace the recipe's: seed=2 data_root=../data 'systems.*.start=models/tiny'",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="the smaller run that the recipe's `quick` section describes")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the resolved recipe, and stop")]
GpuName = Enum("GpuName", {name: name for name in GPUS})  # type: ignore[misc]
AsJson = Annotated[bool, typer.Option("--json", help="print every score as JSON instead of tables")]
Update = Annotated[bool, typer.Option("--update", help="go on in a run folder whose recipe was different")]


def _load(path: Path, overrides: list[str] | None, quick: bool = False) -> "Recipe":
    # Imported here: pydantic and its models take as long as everything else that --help loads.
    from crosstune.recipe import yaml_file

    return yaml_file.load_recipe(path, overrides or (), quick=quick)


def _start(
    stages: tuple[str, ...],
    path: Path,
    overrides: list[str] | None,
    flags: tuple[bool, bool, bool],
    as_json: bool = False,
) -> None:
    quick, dry_run, update = flags
    recipe = _load(path, overrides, quick)
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

        settings = _load(recipe, overrides, quick)
        stdout = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
        print_audit(settings, RunFolder(settings.runs_root / settings.name), stdout)


for _stage in pipeline.STAGES[1:-1]:
    _add_stage_command(_stage)


@app.command(name="filter")
def filter_text(
    recipe: RecipePath,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="one of the recipe's sources of kind text")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder for shards, drops and logs")],
    overrides: Overrides = None,
    executor: Annotated[Literal["local", "slurm", "ray"], typer.Option(help="where the tasks run")] = "local",
    tasks: Annotated[int, typer.Option(min=0, help="shards that are written, at most one per file; 0: so many")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="tasks at a time; 0: one per core, slurm and ray: all")] = 0,
    time: Annotated[str, typer.Option(help="slurm: limit of a task")] = "12:00:00",
    partition: Annotated[str, typer.Option(help="slurm: the cluster's partition")] = "",
) -> None:
    """Send text that outgrows a machine through the data stage's checks, shard by shard, as a datatrove pipeline.

    Writes OUT/text/*.parquet, to be named as a source of a recipe, and OUT/dropped/*.jsonl. Shards that are done are
    not done again. Needs the extra `scale`.
    """
    if importlib.util.find_spec("datatrove") is None:
        raise BadInputError("crosstune filter needs datatrove, which is not installed: pip install 'crosstune[scale]'")
    # Its own lines say what the logs say, too.
    os.environ.setdefault("LOGURU_LEVEL", "WARNING")
    settings = _load(recipe, overrides)
    from crosstune.data.scale import Where, filter_source
    from crosstune.data.stage import write_evaluation_sets

    run_folder = RunFolder(settings.runs_root / settings.name)
    with kept_when_stopped():
        root = write_evaluation_sets(settings, run_folder)
        filter_source(settings, run_folder, root, source, out, Where(executor, tasks, workers, time, partition))


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
        settings = _load(recipe, overrides, quick)
        found = read_json(RunFolder(settings.runs_root / settings.name).report / "forgetting.json")
        if any(one["verdict"] == "fail" for one in found):
            raise typer.Exit(1)


@app.command()
def study(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="a study file, or a folder of them: recipes/ablations")],
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check every cell and list the runs, and stop")] = False,
) -> None:
    """Run a grid of changes to one recipe over several seeds, and compare the cells in one report.

    A folder's studies run one after another. Each run has a folder in runs/STUDY; what is equal is made once, across
    studies, too; what is there is skipped, what was interrupted goes on. Writes study.md and study.csv: means, spreads
    over seeds, differences with intervals.
    """
    from crosstune.study.command import run as run_study

    with kept_when_stopped():
        run_study(path, overrides or [], quick, dry_run, shlex.join(["crosstune", *sys.argv[1:]]))


@app.command()
def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    gpu: Annotated[GpuName, typer.Option("--gpu", help="by its data sheet")] = GpuName("h100"),  # noqa: B008
    num_gpus: Annotated[int, typer.Option("--gpus", min=1, help="how many, over all nodes")] = 8,
    mfu: Annotated[float, typer.Option(min=0.01, max=1, help="share of the peak rate that training reaches")] = 0.4,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Say what training will compute, how long it takes and how much memory it needs, before it is launched.

    Makes the mixtures and tokenizers if they are not there, trains nothing, and fails where a stage cannot fit.
    """
    settings = _load(recipe, overrides)
    run_folder = pipeline.run_stages(settings, ("data", "tokenizer"), shlex.join(["crosstune", *sys.argv[1:]]), False)
    # Imported here: the command line answers --help without loading torch.
    from crosstune.train.plan import make_plan, refuse_what_does_not_fit
    from crosstune.train.print_plan import print_plan, to_json

    machine = Machine(GPUS[gpu.value], num_gpus, mfu)
    plans = make_plan(settings, run_folder, machine)
    if as_json:
        sys.stdout.write(json.dumps(to_json(plans, machine), indent=2) + "\n")
    else:
        print_plan(plans, machine)
    refuse_what_does_not_fit(plans, machine)


@app.command()
def sweep(
    recipe: RecipePath,
    overrides: Overrides = None,
    pieces: Annotated[list[int] | None, typer.Option("--pieces", min=1, help="a number to try; repeatable")] = None,
) -> None:
    """Draw the length of target-language text against the number of new pieces: a table and tokenizer/sweep.svg.

    Makes the mixtures and tokenizers if they are not there; tries 0.5 to 2 times the recipe's number by default.
    """
    settings = _load(recipe, overrides)
    run_folder = pipeline.run_stages(settings, ("data", "tokenizer"), shlex.join(["crosstune", *sys.argv[1:]]), False)
    from crosstune.tokenizer.sweep import as_table
    from crosstune.tokenizer.sweep import sweep as measure

    results.print(as_table(measure(settings, run_folder, pieces or [])))
    note(f"written: {run_folder.root / 'tokenizer'}/sweep.json and sweep.svg")


@app.command()
def verify(
    tokenizer: Annotated[Path, typer.Argument(metavar="TOKENIZER", help="the extended one: a folder or .model file")],
    base: Annotated[Path, typer.Option("--base", help="what it was made from: a folder or .model file")],
    text: Annotated[
        list[Path] | None, typer.Option("--text", help="a file of UTF-8 text, one line each; repeatable, a domain each")
    ] = None,
    parallel: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--parallel",
            help="two files whose n-th lines are translations, the source language first: parity of tokens",
        ),
    ] = None,
    source: Annotated[str, typer.Option("--from", metavar="CODE", help="source language, ISO 639-1")] = "en",
    target: Annotated[str, typer.Option("--to", metavar="CODE", help="target language, ISO 639-1")] = "ko",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every failing case")] = False,
) -> None:
    """Prove that an extended tokenizer keeps what its base does, and measure how much shorter text becomes.

    The exit status is 1 where a property fails, and 2 where something cannot be read or is no extension of the base.
    """
    from crosstune.recipe import Languages
    from crosstune.tokenizer.compare import Texts, compare, print_report

    report = compare(tokenizer, base, Texts(text or [], parallel, Languages(source=source, target=target)))
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    else:
        print_report(report, results)
    if not report["holds"]:
        raise typer.Exit(1)


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
