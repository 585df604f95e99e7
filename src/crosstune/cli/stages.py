"""The commands that run a recipe: all of it, or one stage."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstune import api
from crosstune.cli.options import AsJson, DryRun, Overrides, Quick, RecipePath, Update, load
from crosstune.errors import BadInputError
from crosstune.runs import pipeline
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import SafeConsole, quiet, results, write_json
from crosstune.terminal.stopping import kept_when_stopped

if TYPE_CHECKING:
    from crosstune.recipe import Recipe


def _start(
    stages: Sequence[str],
    path: Path,
    overrides: list[str] | None,
    *,
    quick: bool,
    dry_run: bool,
    update: bool,
    as_json: bool = False,
    then: Callable[["Recipe", RunFolder], None] = lambda *_: None,
) -> None:
    """Run stages; ``then`` does what comes after them while the run's folder is still this process's own."""
    recipe = load(path, overrides, quick)
    if dry_run:
        api.check(recipe, stages)
        from crosstune.recipe import yaml_file

        sys.stdout.write(yaml_file.dump(recipe))
        return
    if recipe.seeds and tuple(stages) == pipeline.STAGE_NAMES:
        if as_json:
            raise BadInputError(
                f"--json prints the scores of one run, and `seeds` {list(recipe.seeds)} of the recipe ask for several: "
                "leave out --json and read study.csv, or set seeds=[] to run `seed` alone"
            )
        api.check(recipe, stages)
        from crosstune.study.command import run_seeds

        with kept_when_stopped():
            run_seeds(recipe, path, overrides or [], quick, shlex.join(["crosstune", *sys.argv[1:]]))
        return
    command = shlex.join(["crosstune", *sys.argv[1:]])
    with (
        quiet(results, as_json),
        kept_when_stopped(),
        pipeline.stages_run(recipe, stages, command, update) as run_folder,
    ):
        then(recipe, run_folder)
    if as_json:
        # Imported here: the command line answers --help without loading NumPy.
        from crosstune.report.scores import read_scores, to_json

        write_json(to_json(recipe, read_scores(recipe, run_folder)))


def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    as_json: AsJson = False,
) -> None:
    """Run all stages of a recipe, from raw corpora to the report.

    Finished work with the same inputs and settings is skipped; interrupted work resumes.
    """
    _start(pipeline.STAGE_NAMES, recipe, overrides, quick=quick, dry_run=dry_run, update=update, as_json=as_json)


def data(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="also build the tokenizers, and show which tokens of each source carry loss")
    ] = False,
) -> None:
    """Run the data stage: raw corpora -> data/mixtures/*/examples.parquet, data/evaluation/*/items.jsonl."""
    stages = ("data", "tokenizer") if audit else ("data",)
    then = _audit if audit else lambda *_: None
    _start(stages, recipe, overrides, quick=quick, dry_run=dry_run, update=update, then=then)


def _audit(recipe: "Recipe", run_folder: RunFolder) -> None:
    # Imported here: the command line answers --help without loading torch.
    from crosstune.tokens.audit import audit as print_audit

    stdout = SafeConsole(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    print_audit(recipe, run_folder, stdout)


def report(
    recipe: RecipePath,
    overrides: Overrides = None,
    quick: Quick = False,
    dry_run: DryRun = False,
    update: Update = False,
    as_json: AsJson = False,
    fail_on_forgetting: Annotated[
        bool,
        typer.Option(
            "--fail-on-forgetting",
            help="exit with status 1 if evaluate.max_forgetting is exceeded or cannot be checked",
        ),
    ] = False,
) -> None:
    """Run the report stage: scores and answers -> report/report.html, report.md, tables.csv, tables.tex."""
    settings = load(recipe, overrides, quick)
    if fail_on_forgetting and settings.evaluate.max_forgetting is None:
        raise BadInputError(
            "--fail-on-forgetting needs a limit in the recipe: set evaluate.max_forgetting, for example 0.03"
        )
    _start(("report",), recipe, overrides, quick=quick, dry_run=dry_run, update=update, as_json=as_json)
    if fail_on_forgetting and not dry_run:
        from crosstune.report.tables.forgetting import failure

        reason = failure(read_json(RunFolder(settings.runs_root / settings.name).report / "forgetting.json"))
        if reason:
            typer.echo(reason, err=True)
            raise typer.Exit(1)


def stage_command(stage: pipeline.Stage) -> Callable[..., None]:
    """Return the command of a stage that has no options of its own."""

    def command(
        recipe: RecipePath,
        overrides: Overrides = None,
        quick: Quick = False,
        dry_run: DryRun = False,
        update: Update = False,
    ) -> None:
        _start((stage.name,), recipe, overrides, quick=quick, dry_run=dry_run, update=update)

    command.__doc__ = f"Run the {stage.name} stage: {stage.purpose}."
    return command


COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "data": data,
    **{stage.name: stage_command(stage) for stage in pipeline.STAGES[1:-1]},
    "report": report,
}
