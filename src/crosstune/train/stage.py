"""The train stage: every system of the recipe, each after the one that it starts from."""

import os
import shutil

from crosstune.artifacts import RunFolder, fingerprint, read_json, write_json
from crosstune.models import prepare_libraries
from crosstune.recipe import Recipe
from crosstune.terminal import console, note
from crosstune.train.checks import ScoreSuite
from crosstune.train.start import Start, check_untrained, find_start, inputs_of
from crosstune.train.system import Task, facts_of, train_system


def run(recipe: Recipe, run: RunFolder, score: ScoreSuite | None = None) -> None:
    """Train every system; one that is there for the same inputs and settings is skipped.

    ``score`` scores a model on the suite, where the recipe wants that while systems train.
    """
    prepare_libraries()
    is_main_process = os.environ.get("RANK", "0") == "0"
    console.quiet = console.quiet or not is_main_process
    for name in recipe.systems_in_order:
        start = find_start(recipe, run, name)
        wanted = fingerprint(inputs_of(recipe, run, name, start))
        if _is_trained(run, name, wanted):
            note(f"{name}: trained already")
        elif recipe.systems[name].stages or recipe.systems[name].merge or start.needs_new_rows:
            train_system(Task(recipe, run, name, start, wanted, score))
        elif is_main_process:
            _point_at_start(run, name, start, wanted)
            note(f"{name}: nothing to train, it is {start.model}")


def _is_trained(run: RunFolder, name: str, wanted: str) -> bool:
    folder = run.system(name)
    if not (folder / "system.json").exists():
        return False
    found = read_json(folder / "system.json")
    own_model = folder / "model"
    return bool(found["fingerprint"] == wanted and (found["model"] != run.name_inside(own_model) or own_model.is_dir()))


def _point_at_start(run: RunFolder, name: str, start: Start, wanted: str) -> None:
    """Write the facts of a system that is its start, and remove what an earlier recipe trained in its place."""
    folder = run.system(name)
    num_parameters = check_untrained(start)
    for outdated in ("model", "adapter", "checkpoints"):
        shutil.rmtree(folder / outdated, ignore_errors=True)
    for outdated in ("metrics.jsonl", "validation.jsonl", "scores_along_training.jsonl"):
        (folder / outdated).unlink(missing_ok=True)
    where = {"model": run.name_inside(start.model), "revision": start.revision}
    write_json(folder / "system.json", {**where, **facts_of(run, start, wanted, num_parameters, ())})
