"""What the systems answered: rows for the page's explorer, and which items each system got right."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.runs.records import OutputRow

ITEMS_PER_TASK = 40
ITEMS_PER_WORDING = 4  # of ten that ask about the same items
# Five systems x eight tasks x 40 items of two thousand characters are 3 MB of page.
MAX_CHARACTERS = 2000


# Tasks with more right answers than this have answers of their own for each item.
_MOST_LABELS = 10


@dataclass
class GivenAnswers:
    """How often each answer was given to a task's items, and how often each was right."""

    given: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    @property
    def is_closed(self) -> bool:
        """Whether the items share a few right answers."""
        return 1 < len(self.right) <= _MOST_LABELS


@dataclass
class Outputs:
    """The outputs of all systems.

    Attributes:
        items: for the explorer, by task and item id: prompt, reference, and the answers by system.
        correct: by system and task: item id to right or wrong, of every item where that is known.
        failures: by system and task (cell, of one with several wordings): of each answer in words, what is wrong.
        answers: by system and task: how often which answer was given, where right and wrong are known.
        num_items: by task, how many items there are in all.
        num_kept: by task, how many of them are in ``items``.
    """

    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    correct: dict[tuple[str, str], dict[str, bool]] = field(default_factory=dict)
    failures: dict[tuple[str, str], list[tuple[str, ...]]] = field(default_factory=dict)
    answers: dict[tuple[str, str], GivenAnswers] = field(default_factory=dict)
    num_items: dict[str, int] = field(default_factory=dict)
    num_kept: dict[str, int] = field(default_factory=dict)

    def closed_answers(self) -> dict[tuple[str, str], GivenAnswers]:
        """Return the answers to tasks whose items share a few right ones, such as good and bad."""
        return {key: answers for key, answers in self.answers.items() if answers.is_closed}


def read_outputs(recipe: Recipe, run: RunFolder) -> Outputs:
    """Read every system's outputs; keep the texts of each task's first items, the same ones for all systems.

    Raises:
        RunFolderError: for a line that is not an output.
    """
    outputs, bos = Outputs(), bos_of(run)
    for system in recipe.systems:
        path = run.system(system) / "evaluation" / "outputs.jsonl"
        if path.exists():
            counts: dict[str, int] = {}
            for row in read_rows(path):
                counts[row.task] = counts.get(row.task, 0) + 1
                _keep(outputs, system, row, bos)
            for task, count in counts.items():
                outputs.num_items[task] = max(count, outputs.num_items.get(task, 0))
    return outputs


def bos_of(run: RunFolder) -> str:
    """Return the token that a model reads before every prompt; the prompts in a run's files lack it."""
    for which in ("base", "extended"):
        path = run.tokenizer(which) / "tokenizer_config.json"
        if path.is_file():
            token = read_json(path).get("bos_token")
            return str(token["content"] if isinstance(token, dict) else token or "")
    return ""


def _keep(outputs: Outputs, system: str, row: OutputRow, bos: str) -> None:
    task, item = row.task, row.id
    if row.correct is not None:
        outputs.correct.setdefault((system, task), {})[item] = row.correct
        answers = outputs.answers.setdefault((system, task), GivenAnswers())
        # What follows tells nothing: each item has an answer of its own.
        if len(answers.right) <= _MOST_LABELS:
            answers.given[row.output.strip()] += 1
            answers.right[row.reference.strip()] += 1
    if row.failures is not None:
        outputs.failures.setdefault((system, row.wordings_of or task), []).append(row.failures)
    key = (task, item)
    is_new = key not in outputs.items
    # The first system with the task chooses the items, and the others follow.
    if is_new and outputs.num_kept.get(task, 0) >= (ITEMS_PER_WORDING if row.wordings_of else ITEMS_PER_TASK):
        return
    prompt = _clip(bos + row.prompt if row.prompt else "")
    if is_new:
        outputs.num_kept[task] = outputs.num_kept.get(task, 0) + 1
        asked = {"prompt": prompt, "reference": _clip(row.reference)}
        outputs.items[key] = {"task": task, "id": item, **asked, "answers": {}}
    outputs.items[key]["answers"][system] = {
        "text": _clip(row.output),
        "correct": row.correct,
        "finished": row.finished is not False,
        "failures": list(row.failures or ()),
        # A second request stands behind the system's own first answer.
        **({"prompt": prompt} if prompt != outputs.items[key]["prompt"] else {}),
    }


def read_rows(path: Path) -> Iterator[OutputRow]:
    """Yield the lines of an outputs file.

    Raises:
        RunFolderError: for a line that is not an output.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = OutputRow.of_row(json.loads(line))
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise RunFolderError(
                    f"{path}:{number}: expected a JSON object with at least `task` and `id`, found {line[:80]!r} "
                    f"({error!r}); delete {path.parent} and run `crosstune evaluate RECIPE` again"
                ) from None
            yield row


def _clip(text: str) -> str:
    # Broken models write half of a surrogate pair, which no file can hold as UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} […] ({len(text) - MAX_CHARACTERS:,} more characters in outputs.jsonl)"
