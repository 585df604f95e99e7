"""The data stage: the miniature world where the recipe asks for one, the evaluation sets, then the mixtures."""

from pathlib import Path
from typing import Any

from crosstune.data import evaluation_sets, files, items_language
from crosstune.data.mixture_folders import MixtureFolders
from crosstune.data.rows import BadRow
from crosstune.prompts.cleaning import clean
from crosstune.recipe import EvaluationTask, Recipe, World
from crosstune.runs.files import write_jsonl
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, is_current, whole_folder
from crosstune.terminal.output import note

# The parts of an item that say where it stands, and are no texts.
_PLACES = ("id", "origin")


def run(recipe: Recipe, run: RunFolder) -> None:
    """Write what the recipe's data section and evaluation tasks ask for, and skip what is already there."""
    root = write_evaluation_sets(recipe, run)
    with MixtureFolders(recipe, run, root) as folders:
        folders.write_all()


def write_evaluation_sets(recipe: Recipe, run: RunFolder) -> Path:
    """Write the miniature world, if the recipe has one, and the evaluation sets; return the folder of raw files."""
    root = recipe.data_root
    if recipe.world is not None:
        root = _write_world(recipe.world, run)
    assert root is not None  # The recipe has exactly one of world and data_root.
    for label, task in recipe.evaluate.tasks_with_files.items():
        _write_evaluation_set(recipe, run, label, task, root)
    return root


def _write_world(world: World, run: RunFolder) -> Path:
    wanted = fingerprint("world", world)
    if is_current(run.world, wanted):
        note(f"world: already there ({run.world})")
        return run.world
    # Imported here: a run on real files needs no miniature.
    from crosstune.miniature import WorldSize, write_world

    size = world.model_dump(exclude={"seed"})
    with whole_folder(run.world, wanted, {"size": size, "seed": world.seed}) as folder:
        write_world(folder, WorldSize(**size), world.seed)
    note(f"world: written to {run.world}")
    return run.world


def _write_evaluation_set(recipe: Recipe, run: RunFolder, label: str, task: EvaluationTask, root: Path) -> None:
    paths, root = evaluation_sets.files_of(task, root, f"evaluate.tasks.{label}.paths")
    on_bad_row = recipe.data.quality.on_bad_row
    settings = task.model_dump(include={"task", "language", "max_items", "sample_seed"}, exclude_none=True)
    settings |= task.model_dump(include=evaluation_sets.SETTINGS_OF_FILES, exclude_defaults=True)
    hashes = files.hashes(paths, root)
    if [*hashes] != sorted(hashes):
        # A fingerprint sorts names, but the first of two files is in the first language, the second in the other.
        settings["order"] = [*hashes]
    languages = recipe.languages_of(task)
    wanted = fingerprint("evaluation set", settings, languages, on_bad_row, hashes)
    target = run.evaluation_set(label)
    if is_current(target, wanted):
        note(f"evaluation set {label}: already there")
        return
    facts: dict[str, Any] = {}
    with whole_folder(target, wanted, facts) as folder:
        untold: list[str] = []
        raw = evaluation_sets.read(task, paths, root, languages, untold)
        items, drops = evaluation_sets.choose(label, task, map(_cleaned, raw), on_bad_row, languages)
        files.refuse_changed(paths, root, hashes)
        write_jsonl(folder / "items.jsonl", items)
        write_jsonl(folder / "dropped.jsonl", drops.records)
        facts |= {"task": task.task, "items": len(items), "dropped": drops.counts()}
    dropped = "".join(f", {count} dropped ({reason})" for reason, count in drops.counts().items())
    note(f"evaluation set {label}: {len(items)} items{dropped}")
    if unchecked := items_language.unchecked(label, task, items, untold):
        note(unchecked)


def _cleaned(item: dict[str, Any] | BadRow) -> dict[str, Any] | BadRow:
    """Return an item with its texts in the form in which the systems have learnt theirs."""
    if isinstance(item, BadRow):
        return item
    return {key: value if key in _PLACES else _cleaned_value(value) for key, value in item.items()}


def _cleaned_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned_value(part) for part in value]
    return clean(value) if isinstance(value, str) else value
