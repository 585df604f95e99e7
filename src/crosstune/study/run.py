"""Run a study: every cell with every seed, each in a run folder of its own, what is equal made once."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.runs.lock import only_process_in
from crosstune.study.settings import StudyRun
from crosstune.terminal.output import heading, note, quiet, results

# Written once and replaced as a whole, never changed: a second name costs nothing.
_LINKED = (".safetensors", ".parquet", ".npz")
_LEFT_OUT = shutil.ignore_patterns("report", "checkpoints", ".*", "*.tmp")
_FINISHED = "report/report.html"


def run_all(runs: Sequence[StudyRun], command: str) -> None:
    """Run all stages of every run; what is there is skipped, what was interrupted goes on.

    A run that is new begins with what a finished one made: each stage makes again only what its changes concern.
    """
    for number, run in enumerate(runs, start=1):
        heading(f"[{number}/{len(runs)}] {run.cell}, seed {run.seed}")
        folder = folder_of(run)
        if not folder.root.exists() and (finished := nearest_finished(run.recipe)):
            # Another process may be about to make a part of it again.
            with only_process_in(finished.root, "begin this study somewhere else (runs_root=other)"):
                note(f"reuses {finished.root}")
                _begin_from(finished, folder, run.recipe)
        # The tables of a single run are not the study's result.
        with quiet(results):
            pipeline.run_stages(run.recipe, pipeline.STAGE_NAMES, command, update=True)


def folder_of(run: StudyRun) -> RunFolder:
    """Return where a run lies."""
    return RunFolder(run.recipe.runs_root / run.recipe.name)


def nearest_finished(recipe: Recipe) -> RunFolder | None:
    """Return the finished run of any study, or of the recipe itself, that differs least; None without one.

    The base model has to be the same: it costs the most, and runs that do not share it are of another experiment.
    """
    base = f"systems.{recipe.evaluate.reference_system}."
    found: list[tuple[int, Path]] = []
    # Studies lie beside one another, each run in its study's folder; a run of the recipe itself lies beside them.
    for depth in ("*", "*/*"):
        for page in sorted(recipe.runs_root.parent.glob(f"{depth}/{_FINISHED}")):
            folder = RunFolder(page.parent.parent)
            changes = yaml_file.differences(folder.recipe, recipe)
            if not any(change.startswith(base) for change in changes):
                found.append((len(changes), folder.root))
    return RunFolder(min(found)[1]) if found else None


def _begin_from(finished: RunFolder, folder: RunFolder, recipe: Recipe) -> None:
    """Copy a run folder, aside and renamed, less other recipes' systems; large files get a second name."""

    def left_out(parent: str, names: list[str]) -> set[str]:
        others = set(names) - set(recipe.systems) if Path(parent) == finished.root / "systems" else set()
        return _LEFT_OUT(parent, names) | others

    temporary = folder.root.with_name(f".{folder.root.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(finished.root, temporary, ignore=left_out, copy_function=_copy_or_link)
    temporary.rename(folder.root)


def _copy_or_link(source: str, target: str) -> str:
    if Path(source).suffix in _LINKED:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
    return target
