"""How many items of each task the hours allow for: what an item costs, estimated by the tokens of its texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from crosstune.data import evaluation_sets
from crosstune.data.rows import BadRow
from crosstune.errors import BadInputError
from crosstune.init.rows import AROUND, TokenCounter
from crosstune.init.speed import Pace
from crosstune.recipe import EvaluationTask, Languages
from crosstune.tasks.task import Item

_LOOKED_AT = 40
# Fewer tell nothing apart: 50 items of a choice have an interval of 27 points.
_LEAST = {"choice": 50, "translation": 20}
_LEAST_OF_OTHERS = 30


@dataclass(frozen=True)
class ItemCost:
    """What an item costs the base model and the tuned one together, in seconds, and how many items there are."""

    seconds: float
    num_items: int


@dataclass(frozen=True)
class ScoringPlan:
    """What is scored within a time.

    Attributes:
        max_items: of each task that is kept.
        too_long: minutes of the fewest items of each task that is not.
        seconds: of all that is kept, for both systems.
    """

    max_items: dict[str, int]
    too_long: dict[str, float]
    seconds: float


def cost_of_items(
    tasks: Mapping[str, Mapping[str, Any]], root: Path, languages: Languages, counter: TokenCounter, speed: Pace
) -> dict[str, ItemCost]:
    """Return what an item of each task costs; tasks that bring their own items are left out."""
    found = {}
    for label, settings in tasks.items():
        task = EvaluationTask.model_validate(settings, strict=False)
        try:
            paths, folder = evaluation_sets.files_of(task, root, label)
            rows = islice(evaluation_sets.read(task, paths, folder, languages), task.max_items or None)
            items = [row for row in rows if not isinstance(row, BadRow)]
        except BadInputError:
            continue  # The data stage says what is wrong with it.
        if items:
            # Spread over all of them: files begin with what is short, or long.
            some = items[:: max(1, len(items) // _LOOKED_AT)]
            both = (counter.without_new_pieces(), counter)
            seconds = sum(_seconds(task, some, languages, one, speed) for one in both)
            found[label] = ItemCost(seconds / len(some), len(items))
    return found


def _seconds(
    task: EvaluationTask, items: Sequence[Item], languages: Languages, counter: TokenCounter, speed: Pace
) -> float:
    if task.spec.judge == "translation":
        return sum(_translating(task, items, direction, counter, speed) for direction in task.directions)
    names = [name for name in items[0] if name not in ("id", "origin")]
    options = [field.name for field in task.spec.fields if field.is_option]
    texts, answers = ([_text(item, chosen) for item in items] for chosen in (names, options))
    language = task.items_language or languages.target
    read = sum(counter.lengths(texts, language))
    if task.spec.is_generated:
        return speed.scoring_seconds(read + AROUND * len(items), 0, task.max_new_tokens * len(items))
    scored = read if task.spec.judge == "text" else sum(counter.lengths(answers, language)) + len(items)
    return speed.scoring_seconds(read + AROUND * len(items), scored, 0)


def _translating(
    task: EvaluationTask, items: Sequence[Item], direction: str, counter: TokenCounter, speed: Pace
) -> float:
    source, target = direction.split("-")
    read = sum(counter.lengths([item[source] for item in items], source)) + AROUND * len(items)
    meant = counter.lengths([item[target] for item in items], target)
    # Who does not know where to end writes on up to the limit: half way between both.
    written = sum((min(length, task.max_new_tokens) + task.max_new_tokens) / 2 for length in meant)
    return len(task.instruction_languages) * speed.scoring_seconds(read, 0, written)


def _text(item: Item, names: Sequence[str]) -> str:
    """Return some fields of an item as one text; a field is a text or a list of texts, a label is neither."""
    values = [item.get(name) for name in names]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return " ".join(text for text in texts if isinstance(text, str))


def fit(tasks: Mapping[str, Mapping[str, Any]], costs: Mapping[str, ItemCost], seconds: float) -> ScoringPlan:
    """Return the items of each task that fit: of all tasks if possible, else without the dearest ones."""
    least = {label: min(cost.num_items, _least(tasks[label])) for label, cost in costs.items()}
    kept, too_long = dict(costs), {}
    while len(kept) > 1 and sum(cost.seconds * least[label] for label, cost in kept.items()) > seconds:
        twice = [label for label in kept if _is_told_by_another(label, kept, tasks)] or list(kept)
        dearest = max(twice, key=lambda label: costs[label].seconds * least[label])
        too_long[dearest] = kept.pop(dearest).seconds * least[dearest] / 60
    base = sum(cost.seconds * least[label] for label, cost in kept.items())
    more = sum(cost.seconds * (cost.num_items - least[label]) for label, cost in kept.items())
    share = min(1.0, max(0.0, seconds - base) / more) if more else 0.0
    items = {label: least[label] + int(share * (cost.num_items - least[label])) for label, cost in kept.items()}
    return ScoringPlan(items, too_long, sum(cost.seconds * items[label] for label, cost in kept.items()))


def _least(settings: Mapping[str, Any]) -> int:
    judge = EvaluationTask.model_validate(settings, strict=False).spec.judge
    return _LEAST.get(judge, _LEAST_OF_OTHERS)


def _is_told_by_another(label: str, kept: Mapping[str, ItemCost], tasks: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether another task that is kept is judged alike, and is in the same language."""
    kinds = {one: _kind(tasks[one]) for one in kept}
    return list(kinds.values()).count(kinds[label]) > 1


def _kind(settings: Mapping[str, Any]) -> tuple[str, str]:
    task = EvaluationTask.model_validate(settings, strict=False)
    return task.spec.judge, task.items_language or ""
