"""The evaluate stage: every system answers every task; answers, scores and intervals are written beside it."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from crosstune.artifacts import (
    RESAMPLES,
    RunFolder,
    fingerprint,
    fingerprint_of,
    is_current,
    whole_folder,
    write_json,
    write_jsonl,
)
from crosstune.chat_template import template_of
from crosstune.evaluate.comet import Comet
from crosstune.evaluate.generated_tasks import GENERATED, Generator
from crosstune.evaluate.items import Item, read_items
from crosstune.evaluate.multiple_choice import score_in_harness
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import Score
from crosstune.evaluate.systems import TrainedSystem, find_system, load_system
from crosstune.evaluate.task_files import HarnessTask
from crosstune.recipe import Recipe
from crosstune.terminal import note

Items = dict[str, list[Item]]


def run(recipe: Recipe, run: RunFolder) -> None:
    """Score every system on every task; a system that is scored already is skipped."""
    systems = [find_system(run, name) for name in recipe.systems_in_order]
    items = _all_items(recipe, run)
    _refuse_unknown_tasks(recipe, run)
    settings = recipe.evaluate
    comet = Comet(settings.comet_checkpoint, settings.comet_command) if settings.comet_checkpoint else None
    for system in systems:
        folder = run.system(system.name) / "evaluation"
        wanted = _fingerprint(recipe, run, system, comet)
        if is_current(folder, wanted):
            note(f"{system.name}: scored already")
        else:
            _evaluate(recipe, run, system, items, wanted, comet)


def _all_items(recipe: Recipe, run: RunFolder) -> Items:
    """Read every evaluation set, so that a bad one stops the run before a model is loaded."""
    languages = (recipe.languages.source, recipe.languages.target)
    return {
        label: read_items(_items_file(run, label), task.task, languages)
        for label, task in recipe.evaluate.tasks_with_files.items()
    }


def _harness_tasks(recipe: Recipe, run: RunFolder) -> dict[str, HarnessTask]:
    """Return the tasks that the harness runs, by label; answers are written by our own loop."""
    template, root = template_of(recipe), recipe.data_root or run.world
    return {
        label: HarnessTask.of(task, _items_file(run, label), template, root)
        for label, task in recipe.evaluate.tasks.items()
        if task.task not in GENERATED
    }


def _refuse_unknown_tasks(recipe: Recipe, run: RunFolder) -> None:
    """Load every task that is not ours, so that a misspelt one stops the run before a model is loaded."""
    for task in _harness_tasks(recipe, run).values():
        if task.items is None:
            task.load()


def _items_file(run: RunFolder, label: str) -> Path:
    return run.evaluation_set(label) / "items.jsonl"


def _fingerprint(recipe: Recipe, run: RunFolder, system: TrainedSystem, comet: Comet | None) -> str:
    """Return the hash of all that decides the scores. How many rows run side by side is not part of it."""
    settings, template = recipe.evaluate, template_of(recipe)
    instructions = [
        template.translation_instructions(direction, language, task.wordings)
        for task in settings.tasks.values()
        for direction in task.directions
        for language in task.instruction_languages
    ]
    return fingerprint(
        "scores, outputs, failures, resamples",
        instructions,
        {label: task.model_dump(mode="json") for label, task in settings.tasks.items()},
        {label: fingerprint_of(run.evaluation_set(label)) for label in settings.tasks_with_files},
        {label: task.file_hashes() for label, task in _harness_tasks(recipe, run).items()},
        [settings.precision, settings.num_bootstrap, recipe.data.prompt, recipe.languages],
        comet.fingerprint if comet else "",
        system.fingerprint,
    )


def _evaluate(
    recipe: Recipe, run: RunFolder, system: TrainedSystem, items: Items, wanted: str, comet: Comet | None
) -> None:
    """Let one system answer all tasks, and write answers and scores."""
    note(f"{system.name}: {len(recipe.evaluate.tasks)} evaluation sets")
    facts: dict[str, Any] = {"system": system.name, "items": {label: len(rows) for label, rows in items.items()}}
    model, tokenizer = load_system(system, recipe.evaluate.precision)
    log = OutputLog(run.system(system.name) / ".evaluation.partial.jsonl", wanted)
    if log.num_found:
        note(f"{system.name}: goes on after {log.num_found} answers of an interrupted evaluation")
    with log, whole_folder(run.system(system.name) / "evaluation", wanted, facts) as folder:
        chosen = _harness_tasks(recipe, run)
        results = score_in_harness(
            model, tokenizer, chosen, recipe.evaluate.batch_tokens, recipe.evaluate.num_bootstrap
        )
        generator = Generator(model, tokenizer, template_of(recipe), recipe.evaluate, log, comet)
        for label, task in recipe.evaluate.tasks.items():
            if label not in chosen:
                results[label] = generator.score(label, task, items[label])
        rows = [row for label in recipe.evaluate.tasks for row in results[label].rows]
        scores = [score for label in recipe.evaluate.tasks for score in results[label].scores]
        write_jsonl(folder / "outputs.jsonl", rows)
        write_json(folder / "scores.json", {"scores": [score.row() for score in scores]})
        # For the paired differences of the report.
        resamples: dict[str, Any] = {f"{score.task}/{score.metric}": score.resamples for score in scores}
        np.savez(folder / RESAMPLES, **resamples)
    log.remove()
    _summarise(scores)


def _summarise(scores: list[Score]) -> None:
    """Print one line per task."""
    for task, members in groupby(scores, key=lambda score: score.task):
        figures = [f"{score.metric} {score.value:.3g} [{score.low:.3g}, {score.high:.3g}]" for score in members]
        note(f"  {task}: {', '.join(figures)}")
