"""The items of an evaluation set, as the data stage wrote them: read, and checked before anything is scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError, RunFolderError

Item = dict[str, Any]
_COPA = ("premise", "choice1", "choice2", "question")
# task -> the keys of an item, besides id and label.
_TEXTS: dict[str, tuple[str, ...]] = {
    "hellaswag": ("activity_label", "ctx_a", "ctx_b"),
    "copa_2011_test": _COPA,
    "copa_2011_test_v04": _COPA,
    "copa_superglue_val": _COPA,
    "copa_superglue_val_v04": _COPA,
    "nsmc_generate": ("document",),
    "nsmc_likelihood": ("document",),
    "kobest_boolq": ("paragraph", "question"),
    "kobest_copa": ("premise", "question", "alternative_1", "alternative_2"),
    "kobest_hellaswag": ("context", "ending_1", "ending_2", "ending_3", "ending_4"),
    "kobest_sentineg": ("sentence",),
    "bits_per_byte": ("text",),
}
# HellaSwag's context is these two, joined: either may be all of it.
_MAY_BE_EMPTY = ("ctx_a", "ctx_b")
_WITHOUT_LABEL = ("translation", "bits_per_byte")
_NUM_LABELS = {"hellaswag": 4, "kobest_hellaswag": 4}
_ENGLISH_QUESTIONS, _KOREAN_QUESTIONS = ("cause", "effect"), ("원인", "결과")


def read_items(path: Path, task: str, languages: Sequence[str]) -> list[Item]:
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
                    f"{path}, row {number}: {problem}. An item of {task} has {_wanted(task, languages)}. "
                    f"Found: {line.strip()[:200]}. Correct the raw file and run `crosstune data` again."
                )
            items.append(item)
            seen.add(item["id"])
    if not items:
        raise BadInputError(f"{path} holds no items, so {task} cannot be scored: see its dropped.jsonl for the reasons")
    return items


def harness_dataset(path: str, **_: Any) -> dict[str, Any]:
    """Return an items file as the harness wants it: a test split, held in memory, so that no cache can be stale."""
    from datasets import Dataset

    with Path(path).open(encoding="utf-8") as lines:
        return {"test": Dataset.from_list([json.loads(line) for line in lines])}


def _problem(item: Any, task: str, languages: Sequence[str]) -> str:
    """Return what is wrong with an item, or nothing."""
    if not isinstance(item, dict):
        return "not a JSON object"
    texts = tuple(languages) if task == "translation" else _TEXTS[task]
    missing = [key for key in ("id", *texts) if not _is_text(item.get(key), key in _MAY_BE_EMPTY)]
    if missing:
        return f"no text under {', '.join(missing)}"
    if task in _WITHOUT_LABEL:
        return ""
    label, num_labels = item.get("label"), _NUM_LABELS.get(task, 2)
    if not isinstance(label, int) or not 0 <= label < num_labels:
        return f"label {label!r} lies outside 0 to {num_labels - 1}"
    endings = item.get("endings")
    if task == "hellaswag" and not (isinstance(endings, list) and [*map(_is_text, endings)] == [True] * 4):
        return "`endings` does not hold four texts"
    questions = _KOREAN_QUESTIONS if task == "kobest_copa" else _ENGLISH_QUESTIONS
    if "copa" in task and item["question"] not in questions:
        return f"question {item['question']!r} is neither {questions[0]!r} nor {questions[1]!r}"
    return ""


def _is_text(value: Any, may_be_empty: bool = False) -> bool:
    return isinstance(value, str) and (may_be_empty or bool(value.strip()))


def _wanted(task: str, languages: Sequence[str]) -> str:
    if task in _WITHOUT_LABEL:
        return "the texts " + ", ".join(("id", *(languages if task == "translation" else _TEXTS[task])))
    endings = ", four endings" if task == "hellaswag" else ""
    return f"the texts {', '.join(('id', *_TEXTS[task]))}{endings} and a label from 0 to {_NUM_LABELS.get(task, 2) - 1}"
