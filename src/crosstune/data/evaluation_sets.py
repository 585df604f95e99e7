"""The items of an evaluation set: read with their places, checked, drawn by seed; their texts stay as they are."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crosstune.data.benchmark_files import READERS, Item, Problem
from crosstune.data.files import place
from crosstune.data.readers.text_files import TextFile
from crosstune.data.rows import BadRow, Drops, OnBadRow, is_encodable, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.recipe import EvaluationTask, Languages, Source

# ActivityNet's HellaSwag rows go on with ctx_b, WikiHow's have none.
_MAY_BE_EMPTY = {"ctx_b", "activity_label"}


def read(task: EvaluationTask, paths: Sequence[Path], root: Path, languages: Languages) -> Iterator[Item | BadRow]:
    """Yield the items of an evaluation set in file order."""
    if task.task == "translation":
        for row in read_source(Source(kind="parallel", paths=task.paths), paths, root, languages):
            yield row if isinstance(row, BadRow) else {"id": row.origin, **row.texts, "origin": row.origin}
        return
    if task.task == "bits_per_byte":
        for row in read_source(Source(kind="text", language=task.language, paths=task.paths), paths, root, languages):
            yield row if isinstance(row, BadRow) else {"id": row.origin, **row.texts, "origin": row.origin}
        return
    for path in paths:
        yield from _items_of_file(task, path, place(path, root), several=len(paths) > 1)


def _items_of_file(task: EvaluationTask, path: Path, name: str, several: bool) -> Iterator[Item | BadRow]:
    rows_of, item_of = READERS[task.task]
    seen: set[str] = set()
    for origin, row, problem in rows_of(TextFile(path, name)):
        try:
            if problem:
                raise Problem(problem)
            item = item_of(row)
            if not is_encodable(json.dumps(item, ensure_ascii=False)):
                raise Problem("a text holds half a surrogate pair, which is no character")
            identity = str(item.pop("id", origin.removeprefix(f"{name}:")))
            if identity in seen:
                raise Problem(f"the id {identity!r} occurs twice in the file")
        except Problem as error:
            yield BadRow(origin, str(error), row)
            continue
        seen.add(identity)
        yield {"id": f"{name}:{identity}" if several else identity, **item, "origin": origin}


def choose(
    label: str, task: EvaluationTask, items: Iterable[Item | BadRow], on_bad_row: OnBadRow
) -> tuple[list[Item], Drops]:
    """Return the items to score, and what was dropped.

    Raises:
        BadInputError: at a bad row, when bad rows stop the run, or when nothing is left.
    """
    drops = Drops()
    found: list[Item] = []
    for item in readable(items, label, on_bad_row, drops):
        empty = next((key for key in item if key not in _MAY_BE_EMPTY and not str(item[key]).strip()), None)
        if empty:
            drops.add(f"empty {empty}", label, item["origin"], item)
        else:
            found.append(item)
    if not found:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in drops.counts().items())
        if drops.records:
            first = drops.records[0]
            reasons += f"; first: {first['origin']} {first.get('problem', '')}".rstrip()
        raise BadInputError(
            f"evaluate.tasks.{label}: {task.task} needs items, but none was found in {', '.join(task.paths)} "
            f"({reasons or 'the files hold no rows'}). Correct the files or `paths`, or remove the task"
        )
    return _drawn(found, task), drops


def _drawn(items: list[Item], task: EvaluationTask) -> list[Item]:
    """Draw from the sorted ids, and return the drawn items in the order of the file."""
    if task.max_items is None or len(items) <= task.max_items:
        return items
    wanted = set(random.Random(task.sample_seed).sample(sorted(item["id"] for item in items), task.max_items))
    return [item for item in items if item["id"] in wanted]
