"""The train stage: every system of the recipe, each after the one that it starts from."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from crosstune.errors import RunFolderError
from crosstune.models.process import prepare_libraries
from crosstune.recipe import Phase, Recipe
from crosstune.runs import ranks
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MANIFEST, RunFolder
from crosstune.runs.hashes import MODEL_CARD, damage_to, describe_files
from crosstune.runs.workers import at_once, run_side_by_side
from crosstune.terminal.output import console, note, quiet
from crosstune.tokens.store import mixture_tokens
from crosstune.train.periodic_eval import ScoreSuite
from crosstune.train.start import Start, check_untrained, find_start, inputs_of, merge_partners, mixtures_of
from crosstune.train.system import facts_of, train_system
from crosstune.train.task import TrainingTask

MakeScore = Callable[[Recipe, RunFolder], ScoreSuite]
MinePairs = Callable[[Recipe, RunFolder, str], None]
WriteReplay = Callable[[Recipe, RunFolder, str, int], None]
ScoreSystem = Callable[[Recipe, RunFolder, str], None]


def run(
    recipe: Recipe,
    run: RunFolder,
    make_score: MakeScore | None = None,
    mine: MinePairs | None = None,
    replay: WriteReplay | None = None,
    score: ScoreSystem | None = None,
) -> None:
    """Train every system; one that is there for the same inputs and settings is skipped.

    ``make_score`` makes what scores a model on the suite, where the recipe wants that while systems train. ``mine``
    makes the pairs of a name, where systems learn from pairs: the failures of a system that is trained before them.
    ``replay`` writes what the start of a system answers, for a phase of it. ``score`` scores a system that is trained,
    where a core would be idle until the last is.
    """
    prepare_libraries()
    limit = at_once(recipe.systems_at_once)
    # A space is no part of a system's name.
    scored = {f"score {name}": name for name in recipe.systems_in_order} if score else {}

    def call_of(name: str) -> Callable[[], None] | None:
        if score and name in scored:
            return partial(score, recipe, run, scored[name])
        for pairs in dict.fromkeys(phase.mixture for phase in recipe.systems[name].phases if phase.preference):
            if mine is not None:
                mine(recipe, run, pairs)
        for index, phase in enumerate(recipe.systems[name].phases):
            if phase.replay and replay is not None:
                replay(recipe, run, name, index)
        task = _task(recipe, run, name)
        if task is None:
            return None
        if limit > 1:
            # Made here: two processes that need the same tokens would both make them.
            for mixture in (*mixtures_of(task.system, task.start), *filter(None, [recipe.train.validation])):
                mixture_tokens(run, mixture, task.system.tokenizer)
        return partial(_train, task, make_score)

    names = recipe.systems_in_order if limit == 1 else _longest_first(recipe, run)
    after = {name: recipe.needed_by(name) for name in names} | {piece: [name] for piece, name in scored.items()}
    with quiet(console, not ranks.is_main_process()):
        run_side_by_side(names, after, call_of, limit, fillers=scored)


def _longest_first(recipe: Recipe, run: RunFolder) -> list[str]:
    """Return the systems by their number of rows: what takes long should not be left for the end (Graham 1969)."""

    def num_rows(phase: Phase) -> float:
        if phase.num_steps:
            return phase.num_steps * phase.global_batch_size
        manifest = run.mixture(phase.mixture) / MANIFEST
        # Pairs may not be there yet; their phases are short.
        return float((phase.num_epochs or 0) * read_json(manifest)["total"]) if manifest.exists() else 0.0

    work = {name: sum(map(num_rows, recipe.systems[name].phases)) for name in recipe.systems_in_order}
    return sorted(work, key=lambda name: -work[name])


def _task(recipe: Recipe, run: RunFolder, name: str) -> TrainingTask | None:
    """Return what is to be trained of a system; None where all of it is there."""
    start = find_start(recipe, run, name)
    wanted = fingerprint("system", inputs_of(recipe, run, name, start))
    if _is_trained(run, name, wanted):
        note(f"{name}: trained already")
    elif recipe.systems[name].phases or recipe.systems[name].merge or start.needs_new_rows:
        if (run.system(name) / "system.json").exists():
            note(f"{name}: is made anew: its settings or what it is made from have changed since it was trained")
        return TrainingTask(recipe, run, name, start, wanted)
    elif ranks.is_main_process():
        _point_at_start(run, name, start, wanted, is_merge_partner=name in merge_partners(recipe))
        note(f"{name}: nothing to train, uses {start.model}")
    return None


def _train(task: TrainingTask, make_score: MakeScore | None) -> None:
    prepare_libraries()  # where this is a process of its own
    train_system(replace(task, score=make_score(task.recipe, task.run)) if make_score else task)


def _is_trained(run: RunFolder, name: str, wanted: str) -> bool:
    folder = run.system(name)
    if not (folder / "system.json").exists():
        return False
    found = read_json(folder / "system.json")
    model = Path(run.locate(found["model"]))
    if found["fingerprint"] != wanted or (model == folder / "model" and not model.is_dir()):
        return False
    damage = damage_to(model, found["files"])
    if damage:
        raise RunFolderError(
            f"{name} was trained, but {model} is damaged: {'; '.join(damage)}. Put a complete copy there, or delete "
            f"{folder} to retrain this system"
        )
    return True


def _point_at_start(run: RunFolder, name: str, start: Start, wanted: str, is_merge_partner: bool) -> None:
    """Write the facts of a system that is its start, and remove what an earlier recipe trained in its place."""
    folder = run.system(name)
    num_parameters = check_untrained(start, is_merge_partner)
    for outdated in ("model", "adapter", "checkpoints"):
        shutil.rmtree(folder / outdated, ignore_errors=True)
    for outdated in ("metrics.jsonl", "validation.jsonl", "scores_during_training.jsonl"):
        (folder / outdated).unlink(missing_ok=True)
    where = {"model": run.name_inside(start.model), "revision": start.revision}
    # Of the hub's there is nothing here; its revision says what it holds.
    files = describe_files(Path(start.model), without=(MODEL_CARD,)) if Path(start.model).exists() else {}
    facts = facts_of(run, start, wanted, num_parameters, ())
    write_json(folder / "system.json", {**where, **facts, "files": files})
