"""The train stage: every system of the recipe, each after the one that it starts from."""

from crosstune.artifacts import RunFolder, fingerprint, read_json, write_json
from crosstune.models import use_fast_matrix_kernels
from crosstune.recipe import Recipe
from crosstune.terminal import note
from crosstune.train.start import find_start, inputs_of, needs_new_rows
from crosstune.train.system import Task, facts_of, train_system


def run(recipe: Recipe, run: RunFolder) -> None:
    """Train every system; one that is there for the same inputs and settings is skipped."""
    use_fast_matrix_kernels()
    for name in recipe.systems_in_order:
        start = find_start(recipe, run, name)
        wanted = fingerprint(inputs_of(recipe, run, name, start))
        facts = run.system(name) / "system.json"
        if facts.exists() and read_json(facts)["fingerprint"] == wanted:
            note(f"{name}: trained already")
        elif recipe.systems[name].stages or needs_new_rows(start, recipe.systems[name]):
            train_system(Task(recipe, run, name, start, wanted))
        else:
            model = {"model": start.model, "revision": start.revision}
            write_json(facts, {**model, **facts_of(start, wanted, [])})
            note(f"{name}: nothing to train, it is {start.model}")
