"""The ordered stages, what each reads and writes: the map of the program."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crosstune.errors import RunFolderError
from crosstune.runs import notes, ranks
from crosstune.runs.files import remove_unfinished, write_text
from crosstune.runs.folder import RunFolder
from crosstune.runs.lock import only_process_in
from crosstune.terminal.output import console, heading, note, quiet

if TYPE_CHECKING:
    from crosstune.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """One stage: its name is its package, its command, its section of the recipe."""

    name: str
    purpose: str


STAGES = (
    Stage("data", "raw corpora -> data/mixtures/*/examples.parquet, data/evaluation/*/items.jsonl"),
    Stage("tokenizer", "mixtures -> tokenizer/base, tokenizer/extended, tokenizer/fertility.json"),
    Stage("train", "mixtures + tokenizers -> systems/*/model, systems/*/metrics.jsonl"),
    Stage("evaluate", "systems + evaluation sets -> systems/*/evaluation/scores.json, outputs.jsonl"),
    Stage("report", "everything above -> report/report.html, report.md, tables.csv, tables.tex"),
)
OWN_FOLDER = "give this run its own folder (name=other_name; `crosstune score`: --out)"
STAGE_NAMES = tuple(stage.name for stage in STAGES)

# Where a run lies and where its raw files lie is no part of what it is: a folder that was moved is the same run.
_PLACES = ("runs_root", "data_root")


def run_stages(
    recipe: "Recipe",
    names: Sequence[str],
    command: str,
    update: bool,
    prepare: Callable[[RunFolder], None] | None = None,
) -> RunFolder:
    """Run some stages in their order, as `stages_run` does, and leave the folder to other processes."""
    with stages_run(recipe, names, command, update, prepare) as run:
        return run


@contextmanager
def stages_run(
    recipe: "Recipe",
    names: Sequence[str],
    command: str,
    update: bool,
    prepare: Callable[[RunFolder], None] | None = None,
) -> Iterator[RunFolder]:
    """Run some stages in their order; each skips what is already there for the same inputs and settings.

    The folder is this process's own as long as the body runs: what is written there next belongs in it. ``prepare``
    writes what the stages need besides, once it is; it may refuse the folder.

    Raises:
        BadInputError: when the recipe starts from what cannot be used.
        RunFolderError: when the folder holds a run of another recipe (and not ``update``), is in use, or earlier
            stages made of another recipe what the first of these stages goes on from.
    """
    run = RunFolder(recipe.runs_root / recipe.name)
    if recipe.seeds:
        raise RunFolderError(
            f"the recipe has seeds {list(recipe.seeds)}: `crosstune run RECIPE`, without --json, runs all of it once "
            "with each, in a folder of its own. For one run, or a single stage, add seeds=[]"
        )
    _refuse_several_processes(names)
    check_inputs(recipe, names)
    # Launched together, one tells for all.
    own = only_process_in(run.root, OWN_FOLDER)
    with own, quiet(console, not ranks.is_main_process()):
        if prepare is not None:
            prepare(run)
        text = _resolved(recipe, run, update)
        if ranks.is_main_process():
            remove_unfinished(run.root)
            notes.refuse_outdated(recipe, run, names)
            write_text(run.recipe, text)
        _load_ahead(recipe, names)
        for name in names:
            run_stage(recipe, run, name, command, {*names})
        yield run


def check_inputs(recipe: "Recipe", names: Sequence[str] = STAGE_NAMES) -> None:
    """Look at what a recipe starts from before anything is read or made: models, tokenizers, chat template, machine.

    Raises:
        BadInputError: with what is wrong.
    """
    # As the stages, what looks at their inputs is handed to them: it knows rooms that stand above this one.
    import_module("crosstune.cli.inputs").look_at(recipe, names)


def _load_ahead(recipe: "Recipe", names: Sequence[str]) -> None:
    """Let a process load the libraries of training and scoring while the stages before them run."""
    later = [f"crosstune.{name}.stage" for name in names[1:] if name in ("train", "evaluate")]
    if later:
        # Imported here: the command line answers --help without loading torch.
        from crosstune.runs.workers import load_ahead

        load_ahead(later, recipe.systems_at_once)


def run_stage(recipe: "Recipe", run: RunFolder, name: str, command: str, together: Collection[str]) -> None:
    """Run one stage and note in ``run.json`` what it ran with; ``together`` are all stages that this command runs."""
    heading(f"{name}: {next(stage.purpose for stage in STAGES if stage.name == name)}")
    with notes.noted(recipe, run, name, command):
        # Imported here: the command line answers --help without loading torch.
        stage = import_module(f"crosstune.{name}.stage")
        # Stages import none of the others: what training needs of them is handed to it.
        needed: dict[str, Any] = {}
        if name == "train" and recipe.train.score_every_steps:
            needed["make_score"] = import_module("crosstune.evaluate.eval_during_training").SuiteScorer
        if name == "train" and recipe.mine:
            needed["mine"] = import_module("crosstune.mine.stage").mine
        if name == "train" and any(phase.replay for system in recipe.systems.values() for phase in system.phases):
            needed["replay"] = import_module("crosstune.mine.replay").write_replay
        if name == "train" and "evaluate" in together:
            needed["score"] = import_module("crosstune.evaluate.stage").score_ahead
        stage.run(recipe, run, **needed)


def _resolved(recipe: "Recipe", run: RunFolder, update: bool) -> str:
    """Return the resolved recipe, unless the run folder holds systems of a different one."""
    # Imported here: the command line answers --help without loading pydantic's models.
    from crosstune.recipe import yaml_file

    text = yaml_file.dump(recipe)
    if run.recipe.exists() and not update:
        found = yaml_file.differences(run.recipe, recipe)
        differences = [line for line in found if line.partition(":")[0] not in _PLACES]
        # What `crosstune plan` and the first stages leave is made again where the change affects it: no result is lost.
        if differences and not any((run.root / "systems").glob("*/*")):
            note(
                f"{run.root} was prepared for another recipe, and nothing was trained there: what it affects is redone"
            )
        elif differences:
            raise RunFolderError(
                f"{run.root} holds a run of another recipe. It differs in:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nGive the new run its own folder (name=other_name), or pass --update to continue in this one: "
                "what the changes affect is redone, everything else is kept."
            )
    return text


def _refuse_several_processes(names: Sequence[str]) -> None:
    world_size = ranks.num_ranks()
    if world_size > 1 and tuple(names) not in (("train",), ("evaluate",)):
        raise RunFolderError(
            f"{world_size} processes were launched for the stages {', '.join(names)}, but only `crosstune train` and "
            "`crosstune evaluate` run on several. Run `crosstune data` and `crosstune tokenizer` first, then launch "
            "`crosstune train` and `crosstune evaluate`, then run `crosstune report`."
        )
