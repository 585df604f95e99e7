"""How answers are judged, apart from how they come about: judged otherwise, stored answers are judged again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from crosstune.evaluate.comet import Comet
from crosstune.evaluate.scores import Result
from crosstune.languages.registry import language, split_direction
from crosstune.recipe import EvaluationTask
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import MANIFEST, RESAMPLES
from crosstune.runs.hashes import damage_to
from crosstune.runs.records import OutputRow, Score

# By what judges them. Raised when the same answers are judged otherwise; tests/evaluate/test_judging.py fails when the
# code that judges changes and these stay. Failures 2: `wrong language` is heard in all scripts
# that several languages share. Rules 2: a right answer is also in the language. Language 1.1: short answers in letters
# that are neither the language's nor Latin.
VERSIONS = {"failures": "2", "rules": "2.0", "language": "1.1"}


def judging_of(tasks: Mapping[str, EvaluationTask], comet: Comet | None) -> dict[str, Any]:
    """Return what decides the scores of answers in words, by task: the same answers, judged otherwise, differ in it."""
    by_task = {label: _judged_by(task) for label, task in tasks.items() if task.spec.is_generated}
    return {"tasks": by_task, "comet": comet.fingerprint if comet else ""}


def _judged_by(task: EvaluationTask) -> dict[str, Any]:
    judges: dict[str, Any] = {name: VERSIONS[name] for name in ("failures", task.spec.judge) if name in VERSIONS}
    judges["py3langid"] = version("py3langid")
    if task.spec.judge == "translation":
        targets = sorted({split_direction(direction)[1] for direction in task.directions})
        judges["sacrebleu"] = [version("sacrebleu"), *(language(code).bleu_tokenizer for code in targets)]
    return judges


@dataclass(frozen=True)
class Answered:
    """What a finished evaluation holds of a system's answers, whatever became of how they are judged.

    Attributes:
        written: the rows of answers in words, as in ``outputs.jsonl``.
        chosen: what was scored by likelihood, by the task's label: whole, since nobody judges it.
        reading: how the model's rows were read.
    """

    written: Sequence[dict[str, Any]] = ()
    chosen: Mapping[str, Result] = field(default_factory=dict)
    reading: Sequence[dict[str, Any]] = ()


def answered_before(folder: Path, answers: str, by_likelihood: Collection[str]) -> Answered:
    """Return what an evaluation holds whose answers came about in the same way; nothing of one that was damaged.

    ``by_likelihood`` are the labels of tasks whose answers are not written.
    """
    path = folder / MANIFEST
    manifest = read_json(path) if path.is_file() else {}
    if manifest.get("answers") != answers or damage_to(folder, manifest["files"]):
        return Answered()
    chosen = {label: Result([], []) for label in by_likelihood}
    written = []
    for row in read_jsonl(folder / "outputs.jsonl"):
        if row["task"] in chosen:
            chosen[row["task"]].rows.append(OutputRow.of_row(row))
        else:
            written.append(row)
    with np.load(folder / RESAMPLES, allow_pickle=False) as resamples:
        for facts in read_json(folder / "scores.json")["scores"]:
            if facts["task"] in chosen:
                key = f"{facts['task']}/{facts['metric']}"
                drawn = resamples[key] if key in resamples.files else None
                chosen[facts["task"]].scores.append(Score(**facts, resamples=drawn))
    return Answered(written, chosen, manifest["reading"])
