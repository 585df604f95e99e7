"""What ``run.json`` says of the stages: with what each made what lies there, and whether that still fits."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import RunFolderError
from crosstune.runs import ranks
from crosstune.runs.files import read_json, write_json, write_text
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MINED, RunFolder
from crosstune.runs.hashes import damage_to
from crosstune.runs.provenance import commit, hardware

if TYPE_CHECKING:
    from crosstune.recipe import Recipe

# What a stage leaves, and the parts of a recipe that it reads besides those that the stages before it read.
_OUTPUTS = {
    "data": ("world/manifest.json", "data/mixtures/*/manifest.json", "data/evaluation/*/manifest.json"),
    "tokenizer": ("tokenizer/*/manifest.json",),
    "train": ("systems/*/system.json",),
    "evaluate": ("systems/*/evaluation/manifest.json",),
    "report": ("report/report.html",),
}
_SECTIONS = {
    "data": ("languages", "seed", "world", "data", "evaluate.tasks"),
    "tokenizer": ("tokenizer",),
    "train": ("systems", "train", "mine"),
    "evaluate": ("evaluate",),
    "report": ("report",),
}
# What only the report reads of those sections.
_OF_THE_REPORT = ("label", "paper_system", "reference_system", "max_forgetting")


@contextmanager
def noted(recipe: "Recipe", run: RunFolder, stage: str, command: str) -> Iterator[None]:
    """Note what a stage runs with: first that it has begun, at its end what it made.

    A stage that finds everything there keeps what is noted of its making. One that fails before it changed anything
    leaves no trace.
    """
    if not ranks.is_main_process():
        yield
        return
    path = run.root / "run.json"
    facts: dict[str, Any] = read_json(path) if path.exists() else {"stages": {}}
    earlier = facts["stages"].get(stage)
    before, started = _times(run, stage), time.monotonic()
    write_json(path, {**facts, "stages": {**facts["stages"], stage: {**(earlier or {}), "unfinished": True}}})
    try:
        yield
    except BaseException:
        if _times(run, stage) == before:
            _restore(path, stage, earlier)
        raise
    facts = read_json(path)
    made = {"command": command, "commit": commit(), "hardware": hardware()}
    if earlier is None or _times(run, stage) != before:
        # Resumed, a stage ends sooner than the work took: of the same recipe, the longest time counts.
        same = _recipe_of(run, stage).exists() and not _changes(recipe, run, stage)
        seconds = max(time.monotonic() - started, earlier.get("seconds", 0.0) if earlier and same else 0.0)
        facts["stages"][stage] = {**made, "seconds": round(seconds, 1)}
        facts |= made
    inputs = {name: digest_of(run, name) for name in _before(stage)}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    facts["stages"][stage] |= {"finished": finished, "inputs": inputs}
    facts["stages"][stage].pop("unfinished", None)
    if reading := _reading(recipe, run, stage):
        facts["stages"][stage]["reading"] = reading
    from crosstune.recipe import yaml_file  # as in _changes

    write_text(_recipe_of(run, stage), yaml_file.dump(recipe))
    write_json(path, facts)


def refuse_outdated(recipe: "Recipe", run: RunFolder, stages: Sequence[str]) -> None:
    """Refuse to go on from what an earlier stage made of another recipe or other inputs, or did not end.

    ``stages`` are about to run; what they make is looked after by themselves.

    Raises:
        RunFolderError: which names the stage to run first, and why.
    """
    path = run.root / "run.json"
    noted_stages = read_json(path)["stages"] if path.exists() else {}
    for name in _before(stages[-1]) if stages else ():
        if name in stages or name not in noted_stages:
            continue
        problem = _problem(recipe, run, name, noted_stages[name])
        if problem:
            raise RunFolderError(
                f"`crosstune {stages[-1]}` continues from the output of `crosstune {name}` in {run.root}, but "
                f"{problem}\n"
                f"Run `crosstune {name} RECIPE` first, with the same settings, and the stages after it (each redoes "
                f"only what the changes affect), or `crosstune run RECIPE`, which does all of that."
            )


def refuse_outdated_report(run: RunFolder) -> None:
    """Refuse to read a report beside which something was made again since: its words would be of other numbers.

    Raises:
        RunFolderError: which names the stage that ran since.
    """
    path = run.root / "run.json"
    written = (read_json(path)["stages"] if path.exists() else {}).get("report", {})
    since = [name for name, digest in written.get("inputs", {}).items() if digest_of(run, name) != digest]
    if since:
        raise RunFolderError(
            f"{run.report} tells of what `crosstune {since[0]}` made before, and another is there since: run "
            f"`crosstune report RECIPE`, or `crosstune run RECIPE`"
        )


def _problem(recipe: "Recipe", run: RunFolder, name: str, note: dict[str, Any]) -> str:
    if note.get("unfinished"):
        return "that was begun again and has not ended."
    if not _recipe_of(run, name).is_file():
        return (
            f"the settings that it was made with are not known: {_recipe_of(run, name)} is missing. Copy a run folder "
            "with its hidden files."
        )
    changes = _changes(recipe, run, name)
    if changes:
        return "the recipe differs since in:\n" + "\n".join(f"  {line}" for line in changes)
    for before, digest in note.get("inputs", {}).items():
        if digest_of(run, before) != digest:
            return f"what `crosstune {before}` made, which it was made from, is another since."
    damage = _damage(recipe, run, name)
    return f"that is not what was written: {'; '.join(damage)}." if damage else ""


def _damage(recipe: "Recipe", run: RunFolder, stage: str) -> list[str]:
    """Return what became of the files that a stage left: scores and answers may have been edited, or copied in part."""
    found: list[str] = []
    for path in _files(run, stage):
        facts, place = read_json(path), path.relative_to(run.root).parts
        if place[0] == "systems" and place[1] not in recipe.systems:
            continue
        # A system's files are those of its model. Weights that are deleted to save room were scored all the same.
        model = facts.get("model")
        folder = Path(run.locate(model)) if model else path.parent
        shown = folder.relative_to(run.root) if folder.is_relative_to(run.root) else folder
        faults = damage_to(folder, facts.get("files", {}))
        found += [f"{shown}/{fault}" for fault in faults if not (model and fault.endswith(" is missing"))]
    return found


def _changes(recipe: "Recipe", run: RunFolder, stage: str) -> list[str]:
    """Return the settings that a stage reads and that differ from those it ran with."""
    # Imported here: the command line answers --help without loading pydantic's models.
    from crosstune.recipe import yaml_file

    path = _recipe_of(run, stage)
    if not path.exists():
        return []
    read = tuple(section for name in (*_before(stage), stage) for section in _SECTIONS[name])
    return [
        line
        for line in yaml_file.differences(path, recipe)
        if _is_within(setting := line.partition(":")[0], read) and setting.rpartition(".")[2] not in _OF_THE_REPORT
    ]


def _is_within(setting: str, sections: Sequence[str]) -> bool:
    return any(setting == section or setting.startswith(f"{section}.") for section in sections)


def _before(stage: str) -> tuple[str, ...]:
    names = tuple(_OUTPUTS)
    return names[: names.index(stage)]


def _recipe_of(run: RunFolder, stage: str) -> Path:
    return run.root / ".stages" / f"{stage}.yaml"


def _files(run: RunFolder, stage: str) -> list[Path]:
    found = sorted(path for pattern in _OUTPUTS[stage] for path in run.root.glob(pattern))
    # Hidden folders are those that a killed process was about to write or to remove.
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(run.root).parts)]
    # Pairs lie beside the mixtures, and belong to the systems that learn from them, whose fingerprints tell of them.
    return [path for path in found if stage != "data" or not MINED.items() <= read_json(path).items()]


def _reading(recipe: "Recipe", run: RunFolder, stage: str) -> dict[str, list[dict[str, Any]]]:
    """Return in which way each system read rows in a stage, and how far that was from plain transformers."""
    found = {}
    for path in _files(run, stage) if stage in ("train", "evaluate") else ():
        facts, place = read_json(path), path.relative_to(run.root).parts
        proofs = [*(phase.get("reading") for phase in facts.get("phases", ())), *facts.get("reading", ())]
        if place[1] in recipe.systems and any(proofs):
            found[place[1]] = [proof for proof in proofs if proof]
    return found


def digest_of(run: RunFolder, stage: str) -> str:
    """Return a hash of the fingerprints of all that a stage left."""
    files = _files(run, stage)
    made = [(str(path.relative_to(run.root)), read_json(path).get("fingerprint", "")) for path in files]
    return fingerprint("stage", made)


def _times(run: RunFolder, stage: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in _files(run, stage)}


def _restore(path: Path, stage: str, earlier: dict[str, Any] | None) -> None:
    facts = read_json(path)
    facts["stages"].pop(stage)
    if earlier is not None:
        facts["stages"][stage] = earlier
    write_json(path, facts)
