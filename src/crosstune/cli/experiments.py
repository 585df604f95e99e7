"""The commands around a run: larger corpora, studies, plans, sweeps, proofs, and benchmarks without a recipe."""

import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crosstune.cli.options import GpuName, Overrides, Quick, RecipePath, load
from crosstune.cli.score import score
from crosstune.errors import BadInputError
from crosstune.plan.machines import CARDS, GPUS, MODELS, Machine
from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.runs.lock import only_process_in
from crosstune.terminal.output import note, results, write_json
from crosstune.terminal.stopping import kept_when_stopped

if TYPE_CHECKING:
    from crosstune.recipe import Recipe

_MFU = 0.4
# What `plan --model` counts hours for: a corpus that a card trains on in days.
_TOKENS_OF_TEXT = 100_000_000


def filter_text(
    recipe: RecipePath,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="one of the recipe's sources of kind text")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder for shards, drops and logs")],
    overrides: Overrides = None,
    executor: Annotated[Literal["local", "slurm", "ray"], typer.Option(help="where to run the tasks")] = "local",
    tasks: Annotated[int, typer.Option(min=0, help="number of output shards (0: one per input file)")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="tasks at a time; 0: one per core, slurm and ray: all")] = 0,
    time: Annotated[str, typer.Option(help="slurm: time limit of a task")] = "12:00:00",
    partition: Annotated[str, typer.Option(help="slurm: the cluster's partition")] = "",
) -> None:
    """Run the data stage's checks on a corpus too large for one machine, shard by shard, as a datatrove pipeline.

    Writes OUT/text/*.parquet, to use as a source of a recipe, and OUT/dropped/*.jsonl. Finished shards are not
    repeated. Needs the extra `scale`.
    """
    if importlib.util.find_spec("datatrove") is None:
        raise BadInputError("crosstune filter needs datatrove, which is not installed: pip install 'crosstune[scale]'")
    # Its own lines say what the logs say, too.
    os.environ.setdefault("LOGURU_LEVEL", "WARNING")
    settings = load(recipe, overrides)
    from crosstune.data.scale import Where, filter_source
    from crosstune.data.stage import write_evaluation_sets

    run_folder = RunFolder(settings.runs_root / settings.name)
    with (
        kept_when_stopped(),
        only_process_in(run_folder.root, pipeline.OWN_FOLDER),
        only_process_in(out, "give another folder as OUT"),
    ):
        root = write_evaluation_sets(settings, run_folder)
        filter_source(settings, run_folder, root, source, out, Where(executor, tasks, workers, time, partition))


def study(
    path: Annotated[
        Path,
        typer.Argument(metavar="STUDY", help="a study file, a folder of them, or the name of one: ablations/mixtures"),
    ],
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check every cell, list the runs, and stop")] = False,
) -> None:
    """Run a grid of changes to one recipe over several seeds, and compare the cells in one report.

    A folder's studies run one after another. Each run has a folder in runs/STUDY. Shared work is done once, also
    across studies; finished work is skipped, interrupted work resumes. Writes study.md and study.csv: means, spreads
    over seeds, differences with intervals.
    """
    from crosstune.study.command import run as run_study

    with kept_when_stopped():
        run_study(path, overrides or [], quick, dry_run, shlex.join(["crosstune", *sys.argv[1:]]))


def plan(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="a recipe file, or the name of one; or --model")
    ] = None,
    overrides: Overrides = None,
    gpu: Annotated[
        GpuName | None,
        typer.Option(
            "--gpu",
            help="plan for this GPU",
            show_default="measure this machine; with --model one GPU of each size",
            case_sensitive=False,
        ),
    ] = None,
    num_gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="number of GPUs, over all nodes", show_default="1")
    ] = None,
    mfu: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            help="with --gpu: share of the peak rate that training reaches (MFU)",
            show_default=str(_MFU),
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help=f"plan without a recipe: {', '.join(MODELS)}, or a model folder, on one GPU")
    ] = "",
    new_pieces: Annotated[int, typer.Option("--new-pieces", min=0, help="with --model: number of new pieces")] = 0,
    here: Annotated[bool, typer.Option("--here", help="measure this machine, as without --gpu")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Estimate FLOPs, time and memory of training before you launch it.

    Builds missing mixtures and tokenizers, and fails if a phase does not fit. Without --gpu it measures this machine:
    it trains on the phases' own rows for about ten seconds and keeps nothing of it. With --model it needs no recipe:
    it shows how each method fits on a GPU, and its cost.
    """
    if (recipe is None) == (not model):
        raise BadInputError("crosstune plan: give a recipe, or a model by --model, and not both")
    if recipe and mfu and not gpu:
        raise BadInputError(
            "--mfu is for a GPU by its data sheet: name it with --gpu, or leave out --mfu to measure here"
        )
    if recipe and new_pieces:
        raise BadInputError(
            "--new-pieces is for --model; a recipe says its own number: tokenizer.extension.num_new_pieces=N"
        )
    if here and gpu:
        raise BadInputError("--here measures this machine: leave out --gpu, which names another one")
    if model and (num_gpus or here):
        raise BadInputError(
            "--model counts for one card by its data sheet: leave out --gpus and --here, or give a recipe"
        )
    if recipe is None:
        _print_ways(model, new_pieces, [gpu.value] if gpu else list(CARDS), mfu or _MFU, as_json)
        return
    settings = load(recipe, overrides)
    with _made(settings) as run_folder:
        # Imported here: the command line answers --help without loading torch.
        from crosstune.plan.here import this_machine
        from crosstune.plan.plan import make_plan, refuse_what_does_not_fit
        from crosstune.plan.print_plan import print_not_counted, print_plan, to_json

        machine = Machine(GPUS[gpu.value], num_gpus or 1, mfu or _MFU) if gpu else this_machine(num_gpus or 1)
        plans = make_plan(settings, run_folder, machine)
    if as_json:
        write_json(json.dumps(to_json(plans, machine), indent=2) + "\n")
    else:
        print_plan(plans, machine)
        print_not_counted(plans, settings.train)
    refuse_what_does_not_fit(plans, machine)


def _print_ways(name: str, num_new_pieces: int, cards: list[str], mfu: float, as_json: bool) -> None:
    from crosstune.plan.known_models import config_of_model, ways_on_cards
    from crosstune.plan.print_plan import print_ways, ways_to_json

    machines = [Machine(GPUS[card], 1, mfu) for card in cards]
    title, config = config_of_model(name, num_new_pieces)
    ways = ways_on_cards(config, num_new_pieces, _TOKENS_OF_TEXT, machines)
    if as_json:
        write_json(json.dumps(ways_to_json(title, ways, machines, _TOKENS_OF_TEXT), indent=2) + "\n")
    else:
        print_ways(title, ways, machines, _TOKENS_OF_TEXT)


def sweep(
    recipe: RecipePath,
    overrides: Overrides = None,
    pieces: Annotated[
        list[int] | None, typer.Option("--pieces", min=1, help="number of pieces to try; repeatable")
    ] = None,
) -> None:
    """Plot the length of target-language text against the number of new pieces: a table and tokenizer/sweep.svg.

    Builds missing mixtures and tokenizers. By default tries 0.5 to 2 times the recipe's number.
    """
    settings = load(recipe, overrides)
    with _made(settings) as run_folder:
        from crosstune.tokenizer.sweep import as_table
        from crosstune.tokenizer.sweep import sweep as measure

        results.print(as_table(measure(settings, run_folder, pieces or [])))
    note(f"written: {run_folder.root / 'tokenizer'}/sweep.json and sweep.svg")


def _made(recipe: "Recipe") -> AbstractContextManager[RunFolder]:
    """Make a run's mixtures and tokenizers where they are not there; its folder is this process's own meanwhile."""
    command = shlex.join(["crosstune", *sys.argv[1:]])
    return pipeline.stages_run(recipe, ("data", "tokenizer"), command, update=False)


def verify(
    tokenizer: Annotated[
        Path, typer.Argument(metavar="TOKENIZER", help="the extended tokenizer: a folder or .model file")
    ],
    base: Annotated[Path, typer.Option("--base", help="the base tokenizer: a folder or .model file")],
    text: Annotated[
        list[Path] | None, typer.Option("--text", help="a UTF-8 text file; repeatable, one per domain")
    ] = None,
    parallel: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--parallel",
            help="two line-by-line translations, source language first, to measure parity",
        ),
    ] = None,
    source: Annotated[str, typer.Option("--from", metavar="CODE", help="source language: ko, ckb, pt-BR")] = "en",
    target: Annotated[str, typer.Option("--to", metavar="CODE", help="target language: ko, ckb, pt-BR")] = "ko",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every failing case")] = False,
) -> None:
    """Verify that an extended tokenizer leaves source text unchanged, and measure how much shorter text becomes.

    The exit status is 1 if a property fails, and 2 if a file cannot be read or is not an extension of the base.
    """
    from crosstune.recipe import Languages
    from crosstune.tokenizer.verify_command import ComparedTexts, compare, print_report

    report = compare(tokenizer, base, ComparedTexts(text or [], parallel, Languages(source=source, target=target)))
    if as_json:
        write_json(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    else:
        print_report(report, results)
    if not report["holds"]:
        raise typer.Exit(1)


COMMANDS: dict[str, Callable[..., None]] = {
    "filter": filter_text,
    "study": study,
    "plan": plan,
    "sweep": sweep,
    "verify": verify,
    "score": score,
}
