"""Run a study: every cell with every seed, each in a run folder of its own, what is equal made once."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from crosstune import pipeline
from crosstune.artifacts import RunFolder
from crosstune.study.settings import StudyRun
from crosstune.terminal import heading, results

# Written once and replaced as a whole, never changed: a second name costs nothing.
_LINKED = (".safetensors", ".parquet", ".npz")
_LEFT_OUT = shutil.ignore_patterns("report", "checkpoints", ".*", "*.tmp")


def run_all(runs: Sequence[StudyRun], command: str) -> None:
    """Run all stages of every run; what is there is skipped, what was interrupted goes on.

    A run that is new begins with what a finished one made: each stage makes again only what its changes concern.
    """
    for number, run in enumerate(runs, start=1):
        heading(f"[{number}/{len(runs)}] {run.cell}, seed {run.seed}")
        folder = folder_of(run)
        finished = _nearest_finished(run, runs)
        if not folder.root.exists() and finished is not None:
            _begin_from(finished, folder)
        # The tables of a single run are not the study's result.
        results.quiet = True
        try:
            pipeline.run_stages(run.recipe, pipeline.STAGE_NAMES, command, update=True)
        finally:
            results.quiet = False


def folder_of(run: StudyRun) -> RunFolder:
    """Return where a run lies."""
    return RunFolder(run.recipe.runs_root / run.recipe.name)


def _nearest_finished(wanted: StudyRun, runs: Sequence[StudyRun]) -> RunFolder | None:
    """Return a finished run's folder, of the same cell if there is one: it has most in common."""
    finished = [run for run in runs if (folder_of(run).report / "report.html").exists()]
    finished.sort(key=lambda run: run.cell != wanted.cell)
    return folder_of(finished[0]) if finished else None


def _begin_from(finished: RunFolder, folder: RunFolder) -> None:
    """Copy a run folder, aside and renamed; large files get a second name instead."""
    temporary = folder.root.with_name(f".{folder.root.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(finished.root, temporary, ignore=_LEFT_OUT, copy_function=_copy_or_link)
    temporary.rename(folder.root)


def _copy_or_link(source: str, target: str) -> str:
    if Path(source).suffix in _LINKED:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
    return target
