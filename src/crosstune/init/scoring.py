"""How many items of each task the hours allow for: what an item costs, estimated by the tokens of its texts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from crosstune.data import evaluation_sets
from crosstune.data.rows import BadRow
from crosstune.errors import BadInputError
from crosstune.init.rows import TokenCounter
from crosstune.init.speed import Pace
from crosstune.languages.registry import split_direction
from crosstune.recipe import EvaluationTask, Languages
from crosstune.tasks.task import Item

_LOOKED_AT = 40
# Fewer tell nothing apart: 50 items of a choice have an interval of 27 points, 200 one of 14.
_LEAST = {"choice": 50, "translation": 20, "": 30}
_ENOUGH = {"choice": 200, "keywords": 200, "translation": 50, "": 50}


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
        stands_in: which of them tells what one that is left out would: it has its items, or is judged alike.
    """

    max_items: dict[str, int]
    too_long: dict[str, float]
    seconds: float
    stands_in: Mapping[str, str] = field(default_factory=dict)

    def why_left_out(self, label: str) -> str:
        """Say why a task is not scored."""
        return f"{self.stands_in[label]} stands for it" if label in self.stands_in else "too long"


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
            both = ((counter.without_new_pieces(), False), (counter, True))
            seconds = sum(_seconds(task, some, languages, *one, speed) for one in both)
            found[label] = ItemCost(seconds / len(some), len(items))
    return found


def _seconds(
    task: EvaluationTask,
    items: Sequence[Item],
    languages: Languages,
    counter: TokenCounter,
    is_tuned: bool,
    speed: Pace,
) -> float:
    if task.spec.judge == "translation":
        return sum(_translating(task, items, direction, counter, is_tuned, speed) for direction in task.directions)
    names = [name for name in items[0] if name not in ("id", "origin")]
    options = [field.name for field in task.spec.fields if field.is_option]
    texts, answers = ([_text(item, chosen) for item in items] for chosen in (names, options))
    language = task.items_language or languages.target
    read = sum(counter.lengths(texts, language))
    if task.spec.judge == "text":
        return speed.scoring_seconds(read, read, 0)
    read += counter.around * len(items)
    if task.spec.is_generated:
        return speed.scoring_seconds(read, 0, task.max_new_tokens * len(items))
    return speed.scoring_seconds(read, sum(counter.lengths(answers, language)) + len(items), 0)


def _translating(
    task: EvaluationTask, items: Sequence[Item], direction: str, counter: TokenCounter, is_tuned: bool, speed: Pace
) -> float:
    source, target = split_direction(direction)
    read = sum(counter.lengths([item[source] for item in items], source)) * len(task.instruction_languages)
    read += sum(fmean(counter.asking(direction, code)) for code in task.instruction_languages) * len(items)
    meant = counter.lengths([item[target] for item in items], target)
    # Who does not know where to end writes on up to the limit: the base model always, the tuned one half the way.
    most = task.max_new_tokens
    written = sum((min(length, most) + most) / 2 if is_tuned else most for length in meant)
    return speed.scoring_seconds(read, 0, written * len(task.instruction_languages))


def _text(item: Item, names: Sequence[str]) -> str:
    """Return some fields of an item as one text; a field is a text or a list of texts, a label is neither."""
    values = [item.get(name) for name in names]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return " ".join(text for text in texts if isinstance(text, str))


def fit(tasks: Mapping[str, Mapping[str, Any]], costs: Mapping[str, ItemCost], seconds: float) -> ScoringPlan:
    """Return the items of each task that fit.

    Where all tasks with items enough to tell systems apart are too many, those go that another one stands for; then,
    with the fewest items each, the dearest.
    """
    enough, least = (_items(tasks, costs, which) for which in (_ENOUGH, _LEAST))
    kept, too_long = dict(costs), {}

    def leave_out(label: str) -> None:
        too_long[label] = kept.pop(label).seconds * least[label] / 60

    while _seconds_of(kept, enough) > seconds and (label := _told_by_another(kept, tasks, enough)):
        leave_out(label)
    while _seconds_of(kept, least) > seconds and len(kept) > 1:
        leave_out(max(kept, key=lambda label: (_place(tasks[label]), costs[label].seconds * least[label])))
    base = _seconds_of(kept, least)
    more = sum(cost.seconds * (cost.num_items - least[label]) for label, cost in kept.items())
    share = min(1.0, max(0.0, seconds - base) / more) if more else 0.0
    items = {label: least[label] + int(share * (cost.num_items - least[label])) for label, cost in kept.items()}
    return ScoringPlan(items, too_long, _seconds_of(kept, items), _stand_ins(too_long, kept, tasks))


def _items(
    tasks: Mapping[str, Mapping[str, Any]], costs: Mapping[str, ItemCost], which: Mapping[str, int]
) -> dict[str, int]:
    return {label: min(cost.num_items, which.get(_judge(tasks[label]), which[""])) for label, cost in costs.items()}


def _seconds_of(costs: Mapping[str, ItemCost], items: Mapping[str, int]) -> float:
    return sum(cost.seconds * items[label] for label, cost in costs.items())


def _told_by_another(
    kept: Mapping[str, ItemCost], tasks: Mapping[str, Mapping[str, Any]], items: Mapping[str, int]
) -> str:
    """Return the dearest task beside which another has the same items or, where none has, is judged alike."""
    for alike in (_files, _kind):
        found = Counter(alike(tasks[label]) for label in kept)
        several = [label for label in kept if found[alike(tasks[label])] > 1]
        if several:
            return max(several, key=lambda label: kept[label].seconds * items[label])
    return ""


def _stand_ins(left_out: Iterable[str], kept: Iterable[str], tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    stands_in: dict[str, str] = {}
    for label in left_out:
        for alike in (_kind, _files):
            for one in kept:
                if alike(tasks[one]) == alike(tasks[label]):
                    stands_in[label] = one
    return stands_in


def _files(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(settings["paths"])


def _kind(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a task's items are judged, whether by a likelier or a written answer, and in which language."""
    task = EvaluationTask.model_validate(settings, strict=False)
    return {"keywords": "choice"}.get(task.spec.judge, task.spec.judge), task.items_language or ""


def _place(settings: Mapping[str, Any]) -> int:
    """Return when a task may go: translations and text tell what was learned, and what was forgotten, soonest."""
    return _judge(settings) not in ("translation", "text")


def _judge(settings: Mapping[str, Any]) -> str:
    return EvaluationTask.model_validate(settings, strict=False).spec.judge
