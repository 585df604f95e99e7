"""What a study found: every cell's scores as mean and spread over seeds, and its difference to the reference cell."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np

from crosstune.recipe import EvaluationTask, Recipe
from crosstune.report.scores import Resamples, Scores, read_resamples, read_scores
from crosstune.report.tables.significance import holm
from crosstune.study.differences import Side, SystemDifference, difference
from crosstune.study.run import folder_of
from crosstune.study.settings import Study, StudyRun

CSV_COLUMNS = (
    "cell",
    "system",
    "task",
    "metric",
    "mean",
    "sd",
    "num_seeds",
    "n",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "to_base",
    "to_base_low",
    "to_base_high",
    "to_base_p",
    "to_base_p_holm",
)  # fmt: skip
Key = tuple[str, str, str]
"""System, task, metric."""


@dataclass(frozen=True)
class SystemScore:
    """One system's score on one task in one cell.

    Attributes:
        values: by seed, of those that have this score.
        n: items.
        is_trained: whether each seed is a training run; the base model is one model, and has one score.
        to_reference: difference to the same system in the reference cell; None there.
        to_base: difference to the model that all start from; None for itself.
    """

    cell: str
    system: str
    task: str
    metric: str
    values: tuple[float, ...]
    n: int
    to_reference: SystemDifference | None = None
    to_base: SystemDifference | None = None
    is_trained: bool = True

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Return the standard deviation over the seeds; None with one, and of what was not trained with each."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 and self.is_trained else None


@dataclass(frozen=True)
class _Found:
    """The scores of a cell's runs, one entry per seed."""

    scores: list[Scores]
    resamples: list[Resamples]


def compare(study: Study, runs: Sequence[StudyRun]) -> list[SystemScore]:
    """Read the scores of finished runs and set every cell beside the reference cell and the base model."""
    found = {cell: _Found([], []) for cell in study.cells}
    for run in runs:
        found[run.cell].scores.append(read_scores(run.recipe, folder_of(run)))
        found[run.cell].resamples.append(read_resamples(run.recipe, folder_of(run)))
    base = runs[0].recipe.evaluate.reference_system
    findings = []
    for cell, content in found.items():
        for key in dict.fromkeys(key for scores in content.scores for key in scores):
            is_base = key[0] == base
            if key[0] not in study.systems and not (is_base and cell == study.reference):
                continue
            # A score may be missing with some seeds: there is no accuracy among answers where none was given.
            found_scores = [scores[key] for scores in content.scores if key in scores]
            values = tuple(score.value for score in (found_scores[:1] if is_base else found_scores))
            reference = found[study.reference]
            to_reference = None if cell == study.reference else _difference(content, key, reference, key, base)
            to_base = None if is_base else _difference(content, key, content, (base, *key[1:]), base)
            findings.append(SystemScore(cell, *key, values, found_scores[0].n, to_reference, to_base, not is_base))
    return corrected(findings)


def of_all_runs(runs: Sequence[StudyRun]) -> tuple[Recipe, Scores]:
    """Return the first run's recipe and scores, with the tasks that only other cells have: a table shows them, too."""
    recipe, tasks, scores = runs[0].recipe, dict[str, EvaluationTask](), Scores()
    for run in runs:
        tasks = {**run.recipe.evaluate.tasks, **tasks}
        scores = {**read_scores(run.recipe, folder_of(run)), **scores}
    tasks = {label: tasks[label] for label in (*recipe.evaluate.tasks, *tasks)}
    return recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"tasks": tasks})}), scores


def _difference(ours: _Found, key: Key, theirs: _Found, their_key: Key, base: str) -> SystemDifference | None:
    """Compare two systems' scores over all seeds; None where one of them has no score with a seed."""
    if not all(one in scores for side, one in ((ours, key), (theirs, their_key)) for scores in side.scores):
        return None
    return difference(_side(ours, key, base), _side(theirs, their_key, base))


def _side(found: _Found, key: Key, base: str) -> Side:
    resamples = [drawn[key] for drawn in found.resamples if key in drawn]
    return Side([scores[key] for scores in found.scores], resamples, is_trained=key[0] != base)


def corrected(findings: Sequence[SystemScore]) -> list[SystemScore]:
    """Return the findings with p-values corrected, each kind of difference over those of one task and metric."""
    by_score: dict[tuple[str, str], list[int]] = {}
    for index, finding in enumerate(findings):
        by_score.setdefault((finding.task, finding.metric), []).append(index)
    result = list(findings)
    for indices in by_score.values():
        to_reference = _corrected([findings[index].to_reference for index in indices])
        to_base = _corrected([findings[index].to_base for index in indices])
        for index, *differences in zip(indices, to_reference, to_base, strict=True):
            result[index] = replace(findings[index], to_reference=differences[0], to_base=differences[1])
    return result


def _corrected(differences: Sequence[SystemDifference | None]) -> list[SystemDifference | None]:
    p_values = [one.p for one in differences if one is not None and one.p is not None]
    corrected_values = iter(holm(p_values))
    return [one if one is None or one.p is None else replace(one, p_holm=next(corrected_values)) for one in differences]


def to_csv(findings: Sequence[SystemScore]) -> str:
    """Return one row per finding, at full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_row(finding) for finding in findings)
    return stream.getvalue()


def _csv_row(finding: SystemScore) -> tuple[Any, ...]:
    what = (finding.cell, finding.system, finding.task, finding.metric)
    differences = [
        value
        for one in (finding.to_reference, finding.to_base)
        for value in (astuple(one) if one else (None,) * len(fields(SystemDifference)))
    ]
    return (*what, finding.mean, finding.sd, len(finding.values), finding.n, *differences)
