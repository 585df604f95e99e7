"""The scores of a run's systems, as the evaluate stage wrote them."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RESAMPLES, RunFolder
from crosstune.runs.records import Score

CSV_COLUMNS = ("system", "task", "metric", "value", "low", "high", "n", "seed")


Scores = dict[tuple[str, str, str], Score]
"""Scores by system, task and metric; systems in the recipe's order."""


def read_scores(recipe: Recipe, run: RunFolder) -> Scores:
    """Read the scores of every system that was evaluated.

    Raises:
        RunFolderError: when no system was.
    """
    scores: Scores = {}
    for system in recipe.systems:
        path = run.system(system) / "evaluation" / "scores.json"
        if path.exists():
            for row in read_json(path)["scores"]:
                score = Score.of_row(row)
                if score is not None:
                    scores[system, score.task, score.metric] = score
    if not scores:
        raise RunFolderError(
            f"there is nothing to report in {run.root}: none of its systems ({', '.join(recipe.systems)}) has been "
            "evaluated; a report needs at least one systems/NAME/evaluation/scores.json with a score: run "
            "`crosstune evaluate RECIPE` first, or everything with `crosstune run RECIPE`"
        )
    return scores


Resamples = dict[tuple[str, str, str], NDArray[np.float64]]
"""A score's values on resampled items, by system, task and metric; all systems are resampled alike."""


def read_resamples(recipe: Recipe, run: RunFolder) -> Resamples:
    """Read the bootstrap's resamples of every system that was evaluated."""
    found: Resamples = {}
    for system in recipe.systems:
        path = run.system(system) / "evaluation" / RESAMPLES
        if path.exists():
            # No pickles: nothing executes from data.
            with np.load(path, allow_pickle=False) as content:
                for name in content.files:
                    task, _, metric = name.rpartition("/")
                    found[system, task, metric] = content[name]
    return found


def paired_interval(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of a difference from two systems' resamples (Koehn 2004)."""
    low, high = np.percentile(ours - theirs, [2.5, 97.5])
    return float(low), float(high)


def to_csv(recipe: Recipe, scores: Scores) -> str:
    """Return every score as CSV, at full precision, with its system's seed; an empty field without an interval."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_rows(recipe, scores))
    return stream.getvalue()


def to_json(recipe: Recipe, scores: Scores) -> str:
    """Return the rows of the CSV as a JSON list; null where there is no interval."""
    return json.dumps(_rows(recipe, scores), ensure_ascii=False, indent=2) + "\n"


def to_rows(recipe: Recipe, run: RunFolder) -> list[dict[str, Any]]:
    """Return every score of a run as the rows of the CSV."""
    return _rows(recipe, read_scores(recipe, run))


def _rows(recipe: Recipe, scores: Scores) -> list[dict[str, Any]]:
    return [dict(zip(CSV_COLUMNS, row, strict=True)) for row in _csv_rows(recipe, scores)]


def _csv_rows(recipe: Recipe, scores: Scores) -> Iterator[tuple[Any, ...]]:
    for (system, *_), score in scores.items():
        yield system, score.task, score.metric, score.value, score.low, score.high, score.n, recipe.seed_of(system)
