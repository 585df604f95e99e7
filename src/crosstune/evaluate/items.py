"""The items of an evaluation set, as the data stage wrote them: read, and checked before anything is scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError, RunFolderError
from crosstune.tasks.task import Item, Task


def read_items(path: Path, task: Task, languages: Sequence[str]) -> list[Item]:
    """Read an evaluation set; ``languages`` are the keys of a translation item.

    Raises:
        RunFolderError: when the data stage has not written it.
        BadInputError: when an item lacks a key, or its label or question is none of the task's.
    """
    if not path.is_file():
        raise RunFolderError(f"{path} is missing: run `crosstune data` first, which writes the evaluation sets")
    items: list[Item] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            item = json.loads(line)
            problem = _problem(item, task, languages)
            if not problem and item["id"] in seen:
                problem = f"id {item['id']!r} occurs twice"
            if problem:
                raise BadInputError(
                    f"{path}, row {number}: {problem}. An item of {task.name} has {_wanted(task, languages)}. "
                    f"Found: {line.strip()[:200]}. Correct the raw file and run `crosstune data` again."
                )
            items.append(item)
            seen.add(item["id"])
    if not items:
        raise BadInputError(
            f"{path} holds no items, so {task.name} cannot be scored: see its dropped.jsonl for the reasons"
        )
    return items


def harness_dataset(path: str, **_: Any) -> dict[str, Any]:
    """Return an items file as the harness wants it: a test split, held in memory, so that no cache can be stale."""
    from datasets import Dataset

    with Path(path).open(encoding="utf-8") as lines:
        return {"test": Dataset.from_list([json.loads(line) for line in lines])}


def _problem(item: Any, task: Task, languages: Sequence[str]) -> str:
    """Return what is wrong with an item, or nothing."""
    if not isinstance(item, dict):
        return "not a JSON object"
    if not isinstance(item.get("id"), str) or not item["id"].strip():
        return "no text under id"
    if problem := task.problem(item, languages):
        return problem
    empty = task.empty_field(item, languages)
    return f"no text under {empty}" if empty else ""


def _wanted(task: Task, languages: Sequence[str]) -> str:
    names = ", ".join(("id", *(field.name for field in task.fields_of(languages))))
    return f"{names} and a label from 0 to {task.num_labels - 1}" if task.num_labels else names
