"""The evaluate stage: every system answers every task; answers, scores and intervals are written beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from crosstune.evaluate import baselines, ranks
from crosstune.evaluate.comet import Comet
from crosstune.evaluate.generate.vllm_engine import writer
from crosstune.evaluate.judging import answered_before, judging_of
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import Result
from crosstune.evaluate.suite import Suite
from crosstune.evaluate.systems import TrainedSystem, find_system, load_system
from crosstune.models.paths import paths_of
from crosstune.recipe import Recipe
from crosstune.runs.files import write_json, write_jsonl
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RESAMPLES, RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.runs.records import Score
from crosstune.runs.workers import at_once, run_side_by_side
from crosstune.terminal.output import console, note, quiet

Call = Callable[[], None]


@dataclass(frozen=True)
class WantedScores:
    """The fingerprints of how answers come about, and of that and how they are judged."""

    answers: str
    scores: str


def run(recipe: Recipe, run: RunFolder) -> None:
    """Score every system on every task; a system that is scored already is skipped."""
    ranks.device()
    systems = {name: find_system(run, name) for name in recipe.systems_in_order}
    suite = Suite.of(recipe, run)

    def call_of(name: str) -> Call | None:
        call = _call(recipe, run, suite, systems[name])
        if call is None:
            note(f"{name}: scored already")
        return call

    if ranks.rank() == 0:
        baselines.write(recipe, run, suite)
    with quiet(console, ranks.rank() > 0):
        run_side_by_side(list(systems), {}, call_of, at_once(recipe.systems_at_once))


def score_ahead(recipe: Recipe, run: RunFolder, name: str) -> None:
    """Score a trained system while others train; the stage does again, and tells, what goes wrong."""
    try:
        call = _call(recipe, run, Suite.of(recipe, run), find_system(run, name))
        if call is not None:
            call()
    except Exception as error:
        note(f"{name}: not scored beside the training ({type(error).__name__}); the evaluate stage tries it again")


def _call(recipe: Recipe, run: RunFolder, suite: Suite, system: TrainedSystem) -> Call | None:
    """Return the work of scoring a system, None where it is scored."""
    settings = recipe.evaluate
    comet = Comet(settings.comet_checkpoint, settings.comet_command) if settings.comet_checkpoint else None
    answers = _fingerprint(recipe, run, suite, system)
    wanted = WantedScores(answers, fingerprint("scores", answers, judging_of(suite.tasks, comet)))
    is_scored = is_current(run.system(system.name) / "evaluation", wanted.scores)
    # Before the main process may write this folder.
    ranks.wait()
    return None if is_scored else partial(evaluate_system, recipe, run, suite, system, wanted, comet)


def _fingerprint(recipe: Recipe, run: RunFolder, suite: Suite, system: TrainedSystem) -> str:
    """Return the hash of all that decides the answers. How many rows run side by side is not part of it."""
    settings = recipe.evaluate
    return fingerprint(
        "answers",
        suite.instructions(),
        settings.tasks,
        {label: fingerprint_of(run.evaluation_set(label)) for label in settings.tasks_with_files},
        {label: task.file_hashes() for label, task in suite.harness_tasks.items()},
        [settings.precision, settings.engine, settings.num_bootstrap, recipe.data.prompt, recipe.languages],
        # Also the options and the date of a model's own template: an untrained system is nothing else that they change.
        suite.prompts(),
        system.fingerprint,
    )


def evaluate_system(
    recipe: Recipe, run: RunFolder, suite: Suite, system: TrainedSystem, wanted: WantedScores, comet: Comet | None
) -> None:
    """Let one system answer all tasks, and write answers and scores; answers that are there are only judged again."""
    folder = run.system(system.name) / "evaluation"
    before = answered_before(folder, wanted.answers, suite.harness_tasks)
    what = f"judges {len(before.written):,} answers again" if before.written else f"{len(suite.tasks)} evaluation sets"
    note(f"{system.name}: {what}")
    facts: dict[str, Any] = {"system": system.name, "items": {label: len(rows) for label, rows in suite.items.items()}}
    facts |= {"answers": wanted.answers, "judged_by": judging_of(suite.tasks, comet)}
    model, tokenizer = load_system(system, recipe.evaluate.precision)
    write = writer(system, recipe.evaluate.precision) if recipe.evaluate.engine == "vllm" else None
    log = OutputLog(run.system(system.name) / ".evaluation.partial.jsonl", wanted.answers, before.written)
    if log.num_found:
        note(f"{system.name}: resumes after {log.num_found} answers of an interrupted evaluation")
    with log:
        results = suite.score(model, tokenizer, log, comet if ranks.rank() == 0 else None, write, before.chosen)
        if ranks.rank() == 0:
            facts["reading"] = before.reading or [path.facts() for path in paths_of(model)]
            with whole_folder(folder, wanted.scores, facts) as temporary:
                _write(results, temporary)
    log.remove()
    _summarise(system.name, [score for result in results for score in result.scores])


def _write(results: Sequence[Result], folder: Path) -> None:
    scores = [score for result in results for score in result.scores]
    write_jsonl(folder / "outputs.jsonl", (row.row() for result in results for row in result.rows))
    write_json(folder / "scores.json", {"scores": [score.row() for score in scores]})
    # For the paired differences of the report.
    resamples: dict[str, Any] = {
        f"{score.task}/{score.metric}": score.resamples for score in scores if score.resamples is not None
    }
    np.savez(folder / RESAMPLES, **resamples)


def _summarise(system: str, scores: list[Score]) -> None:
    """Print one line per task, each with its system: two may be scored at the same time."""
    for task, members in groupby(scores, key=lambda score: score.task):
        scored = list(members)
        # Of how many, where that is another number than that of the task's items: rules of a kind, answers of a kind.
        counts = ["" if score.n == scored[0].n else f" of {score.n}" for score in scored]
        figures = [
            f"{score.metric} {score.value:.3g}{_interval(score)}{count}"
            for score, count in zip(scored, counts, strict=True)
        ]
        note(f"  {system}, {task}: {', '.join(figures)}")


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f" [{score.low:.3g}, {score.high:.3g}]"
