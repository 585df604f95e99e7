"""What a judge compares: two systems' answers to one question, from a run's outputs or from blind votes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe, yaml_file
from crosstune.report.outputs import read_rows
from crosstune.runs.folder import RunFolder
from crosstune.runs.records import OutputRow
from crosstune.terminal.output import note


@dataclass(frozen=True)
class Pair:
    """Two answers to a question.

    Attributes:
        task: the run's task or cell of a translation; ``votes`` of answers that a person voted on.
        first: who wrote the first answer.
        second: who wrote the second.
        preferred: who a person found better, by a blind vote.
    """

    task: str
    id: str
    question: str
    first: str
    second: str
    answers: tuple[str, str]
    preferred: str = ""


def pairs_of_run(folder: Path, systems: Sequence[str], tasks: Sequence[str], max_items: int) -> list[Pair]:
    """Return every pair of systems' answers in words to the same questions: of each task the first ``max_items``.

    A second request stands behind a system's own first answer: where two systems answered it differently, they were
    asked different questions, and what the judge reads of one would be held against the other.

    Raises:
        BadInputError: for what is no run, for systems and tasks that it does not have, and where nothing is compared.
        RunFolderError: for a line of the outputs that is not an output.
    """
    run = RunFolder(folder)
    if not run.recipe.is_file():
        raise BadInputError(
            f"{folder} is not a run folder: it has no recipe.yaml. Give a folder made by `crosstune run`, as "
            f"runs/miniature"
        )
    answers = {name: _answers_of(run, name) for name in _known(systems, run)}
    found = sorted({row.task for rows in answers.values() for row in rows.values()})
    if unknown := sorted(set(tasks) - set(found)):
        raise BadInputError(f"--task {', '.join(unknown)}: no system answers it in words. Allowed: {', '.join(found)}")
    pairs = [
        pair
        for first, second in combinations(answers, 2)
        for task in tasks or found
        for pair in _pairs(task, first, second, answers, max_items)
    ]
    left_out = sum(
        rows[key].prompt != row.prompt
        for rows, others in combinations(answers.values(), 2)
        for key, row in others.items()
        if key in rows and row.task in (tasks or found)
    )
    if left_out:
        note(f"pairs left out, of systems that were asked different questions, as after first answers: {left_out:,}")
    if not pairs:
        raise BadInputError(f"{folder}: {', '.join(answers)} answered no question in common: nothing can be compared")
    return pairs


def pairs_of_votes(file: Path) -> list[Pair]:
    """Return the pairs of a file of preferences whose votes were blind, as `crosstune compare` saves them.

    The better answer comes first or second by its text, not because it was chosen.

    Raises:
        BadInputError: for a line that is no vote, and for a file without a blind one.
    """
    pairs: list[Pair] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                is_blind, question = row["blind"], row["prompt"]
                written = sorted(
                    [(row["chosen"], row["chosen_system"]), (row["rejected"], row["rejected_system"])],
                )
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise BadInputError(
                    f"{file}:{number}: expected a vote as `crosstune compare` saves it, found {line[:80]!r} ({error!r})"
                ) from None
            (one, first), (other, second) = written
            if is_blind:
                pairs.append(Pair("votes", str(number), question, first, second, (one, other), row["chosen_system"]))
    if not pairs:
        raise BadInputError(f"{file} has no blind vote: vote in `crosstune compare` with the box `blind` ticked")
    return pairs


def _known(systems: Sequence[str], run: RunFolder) -> list[str]:
    recipe: Recipe = yaml_file.load_recipe(run.recipe)
    scored = [name for name in recipe.systems if _outputs(run, name).is_file()]
    if unknown := [name for name in systems if name not in scored]:
        raise BadInputError(
            f"--system {', '.join(unknown)}: not scored in {run.root}. Allowed: {', '.join(scored) or 'none yet'}"
        )
    chosen = list(dict.fromkeys(systems or scored))
    if len(chosen) < 2:
        raise BadInputError(
            f"two systems or more are compared, and {run.root} has {', '.join(chosen) or 'none'} scored"
        )
    return chosen


def _outputs(run: RunFolder, system: str) -> Path:
    return run.system(system) / "evaluation" / "outputs.jsonl"


def _answers_of(run: RunFolder, system: str) -> dict[tuple[str, str], OutputRow]:
    # Endings that were chosen by likelihood are no answers in words: they carry no failures.
    return {(row.task, row.id): row for row in read_rows(_outputs(run, system)) if row.failures is not None}


def _pairs(
    task: str, first: str, second: str, answers: dict[str, dict[tuple[str, str], OutputRow]], max_items: int
) -> Iterator[Pair]:
    ours, theirs = answers[first], answers[second]
    shared = [
        row for key, row in ours.items() if row.task == task and key in theirs and theirs[key].prompt == row.prompt
    ]
    for row in shared[:max_items]:
        yield Pair(task, row.id, row.prompt, first, second, (row.output, theirs[task, row.id].output))
