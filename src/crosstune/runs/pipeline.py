"""The ordered stages, what each reads and writes: the map of the program."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crosstune.errors import RunFolderError
from crosstune.runs.files import read_json, write_json, write_text
from crosstune.runs.folder import RunFolder
from crosstune.runs.provenance import commit, hardware
from crosstune.terminal import heading

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
STAGE_NAMES = tuple(stage.name for stage in STAGES)


def run_stages(recipe: "Recipe", names: Sequence[str], command: str, update: bool) -> RunFolder:
    """Run some stages in their order; each skips what is already there for the same inputs and settings.

    Raises:
        RunFolderError: when the folder holds a run of another recipe (and not ``update``), or is in use.
    """
    run = RunFolder(recipe.runs_root / recipe.name)
    if recipe.seeds:
        raise RunFolderError(
            f"the recipe has seeds {list(recipe.seeds)}: `crosstune run RECIPE`, without --json, runs all of it once "
            "with each, in a folder of its own. For one run, or a single stage, add seeds=[]"
        )
    _refuse_several_processes(names)
    with _only_process_in(run):
        _claim(recipe, run, update)
        for name in names:
            run_stage(recipe, run, name, command)
    return run


def run_stage(recipe: "Recipe", run: RunFolder, name: str, command: str) -> None:
    """Run one stage and note its time in ``run.json``."""
    heading(f"{name}: {next(stage.purpose for stage in STAGES if stage.name == name)}")
    started = time.monotonic()
    # Imported here: the command line answers --help without loading torch.
    stage = import_module(f"crosstune.{name}.stage")
    if name == "train" and recipe.train.score_every_steps:
        # Stages import none of the others: what training needs of evaluation is handed to it.
        stage.run(recipe, run, make_score=import_module("crosstune.evaluate.along_training").scorer)
    else:
        stage.run(recipe, run)
    _note_stage(run, name, command, time.monotonic() - started)


def _note_stage(run: RunFolder, name: str, command: str, seconds: float) -> None:
    if os.environ.get("RANK", "0") != "0":
        return
    path = run.root / "run.json"
    facts: dict[str, Any] = read_json(path) if path.exists() else {"stages": {}}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = facts["stages"].get(name, {}).get("seconds", 0.0)
    # A stage that skipped everything takes seconds; the time that the work took is the longest seen.
    facts["stages"][name] = {"seconds": round(max(seconds, earlier), 1), "finished": finished}
    write_json(path, {"command": command, "commit": commit(), "hardware": hardware(), **facts})


def _claim(recipe: "Recipe", run: RunFolder, update: bool) -> None:
    """Write the resolved recipe into the run folder, unless a different one is there."""
    # Imported here: the command line answers --help without loading pydantic's models.
    from crosstune.recipe import yaml_file

    text = yaml_file.dump(recipe)
    if run.recipe.exists() and not update:
        differences = yaml_file.differences(run.recipe.read_text(encoding="utf-8"), text)
        if differences:
            raise RunFolderError(
                f"{run.root} holds a run of another recipe. It differs in:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nGive the new run its own folder (name=other_name), or pass --update to go on in this one: "
                "what the changes concern is made again, everything else is kept."
            )
    if os.environ.get("RANK", "0") == "0":
        write_text(run.recipe, text)


def _refuse_several_processes(names: Sequence[str]) -> None:
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size > 1 and tuple(names) not in (("train",), ("evaluate",)):
        raise RunFolderError(
            f"{world_size} processes were launched for the stages {', '.join(names)}, but only `crosstune train` and "
            "`crosstune evaluate` run on several. Run `crosstune data` and `crosstune tokenizer` first, then launch "
            "`crosstune train` and `crosstune evaluate`, then run `crosstune report`."
        )


@contextmanager
def _only_process_in(run: RunFolder) -> Iterator[None]:
    """Hold the run folder's lock; the ranks of one training job share it."""
    run.root.mkdir(parents=True, exist_ok=True)
    with (run.root / ".lock").open("w") as lock:
        if os.environ.get("RANK", "0") == "0":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunFolderError(
                    f"another crosstune process works in {run.root}: wait for it, or give this run its own folder "
                    "(name=other_name)"
                ) from None
        yield
