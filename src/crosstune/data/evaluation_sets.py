"""The items of an evaluation set: read with their places, checked, drawn by seed; their texts stay as they are."""

import json
import random
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crosstune.data import items_language
from crosstune.data.benchmark_rows import benchmark_rows, is_plain_text
from crosstune.data.files import find, place
from crosstune.data.readers.text_files import TextFile
from crosstune.data.rows import BadRow, Drops, OnBadRow, is_encodable, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.recipe import EvaluationTask, Languages, Source
from crosstune.tasks.answers.items import instruction_items
from crosstune.tasks.answers.wordings import read_wordings
from crosstune.tasks.layout import NoItem
from crosstune.tasks.task import Item

# What a recipe says of the files themselves.
SETTINGS_OF_FILES = {"encoding", "format", "columns"}


def files_of(task: EvaluationTask, root: Path, where: str) -> tuple[list[Path], Path]:
    """Return the files of an evaluation set and the folder that they are named in: the user's, or our own.

    Raises:
        BadInputError: when one is not there; ``where`` names the setting.
    """
    own = None if task.paths else task.spec.file_of(task.language)
    return ([own], own.parent) if own else (find(task.paths, root, where), root)


def read(
    task: EvaluationTask,
    paths: Sequence[Path],
    root: Path,
    languages: Languages,
    untold: list[str] | None = None,
) -> Iterator[Item | BadRow]:
    """Yield the items of an evaluation set in file order.

    ``untold`` takes the names of files of which neither rows nor names say which language they are in.
    """
    kind = task.spec.judge
    silent = items_language.refuse_another_name(task, paths, root, languages)
    if (
        kind == "translation"
        and task.spec.layouts
        and not all(is_plain_text(TextFile(path, "", task.encoding)) for path in paths)
    ):
        yield from _pairs(task, paths, root, languages)
    elif kind == "rules":
        if len(paths) != 1:
            raise BadInputError(
                f"{task.task} was to be made of one file of wordings, but `paths` ({', '.join(task.paths)}) name "
                f"{len(paths)}: {', '.join(place(path, root) for path in paths)}. Name one of them"
            )
        wordings = read_wordings(paths[0], task.language or "")
        for item in instruction_items(wordings, task.max_items, task.sample_seed):
            yield {**item, "origin": f"{place(paths[0], root)}:{item['id']}"}
    elif kind in ("translation", "text", "language"):
        settings: dict[str, Any] = (
            {"kind": "parallel"} if kind == "translation" else {"kind": "text", "language": task.language}
        )
        settings |= task.model_dump(include=SETTINGS_OF_FILES)
        source = Source.model_validate({**settings, "paths": task.paths or tuple(path.name for path in paths)})
        called = {"text": "question"} if kind == "language" else {}
        for row in read_source(source, paths, root, languages):
            if isinstance(row, BadRow):
                yield row
            else:
                texts = {called.get(name, name): text for name, text in row.texts.items()}
                yield {"id": row.origin, **texts, "origin": row.origin}
    else:
        for path in paths:
            name = place(path, root)
            told = yield from _items_of_file(task, path, name, task.language, several=len(paths) > 1)
            if untold is not None and name in silent and not told:
                untold.append(name)


def _items_of_file(
    section: EvaluationTask, path: Path, name: str, language: str | None, several: bool
) -> Generator[Item | BadRow, None, bool]:
    """Yield a file's items; an id that occurs twice is told apart by its place, and a row that occurs twice is bad.

    Returns:
        Whether each row says which language it is in.
    """
    task, is_told = section.spec, True
    seen: dict[str, Item] = {}
    for origin, row, problem in benchmark_rows(task, TextFile(path, name, section.encoding)):
        at = origin.removeprefix(f"{name}:")
        try:
            if problem:
                raise NoItem(problem)
            item = task.item(row)
            layout = task.layout_of(row)
            is_told = is_told and bool(layout.declared_language(row))
            if language and (other := layout.other_language(row, language)):
                raise NoItem(
                    f"the row says that it is in {other}, but {language} is asked for: correct `paths` or language"
                )
            if not is_encodable(json.dumps(item, ensure_ascii=False)):
                raise NoItem("a text contains half a surrogate pair, which is not a character")
            if wrong := task.problem(item, ()):
                raise NoItem(wrong)
            identity = str(item.pop("id", at))
            if identity in seen:
                if seen[identity] == item:
                    raise NoItem(f"the row with the id {identity!r} occurs twice in the file")
                identity = f"{identity} ({at})"
        except NoItem as error:
            yield BadRow(origin, str(error), row)
            continue
        seen[identity] = item
        yield {"id": f"{name}:{identity}" if several else identity, **item, "origin": origin}
    return is_told


def _pairs(task: EvaluationTask, paths: Sequence[Path], root: Path, languages: Languages) -> Iterator[Item | BadRow]:
    """Yield the items of two tables, one for each language, whose rows belong together by their ids."""
    if len(paths) != 2:
        raise BadInputError(
            f"{task.task} is published as a table for each language: give two in `paths`, the first in "
            f"{languages.source}, the second in {languages.target}; {len(paths)} were given: "
            f"{', '.join(place(path, root) for path in paths)}"
        )
    sides: list[dict[str, Item]] = []
    for path, language in zip(paths, (languages.source, languages.target), strict=True):
        sides.append({})
        for item in _items_of_file(task, path, place(path, root), language, several=False):
            if isinstance(item, BadRow):
                yield item
            else:
                sides[-1][item["id"]] = item
    first, second = sides
    for identity, item in first.items():
        if identity not in second:
            where = place(paths[1], root)
            yield BadRow(item["origin"], f"the id {identity!r} has no row in {where}", {"text": item["text"]})
        else:
            texts = {languages.source: item["text"], languages.target: second[identity]["text"]}
            yield {"id": identity, **texts, "origin": item["origin"]}
    for identity, item in ((identity, item) for identity, item in second.items() if identity not in first):
        yield BadRow(item["origin"], f"the id {identity!r} has no row in {place(paths[0], root)}", item)


def choose(
    label: str, task: EvaluationTask, items: Iterable[Item | BadRow], on_bad_row: OnBadRow, languages: Languages
) -> tuple[list[Item], Drops]:
    """Return the items to score, and what was dropped.

    Raises:
        BadInputError: at a bad row, when bad rows stop the run, or when nothing is left.
    """
    drops = Drops()
    found: list[Item] = []
    for item in readable(items, label, on_bad_row, drops):
        empty = task.spec.empty_field(item, languages.codes)
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
    items_language.refuse_other_letters(label, task, found, languages)
    return _drawn(found, task), drops


def _drawn(items: list[Item], task: EvaluationTask) -> list[Item]:
    """Draw from the sorted ids, and return the drawn items in the order of the file."""
    if task.max_items is None or len(items) <= task.max_items:
        return items
    wanted = set(random.Random(task.sample_seed).sample(sorted(item["id"] for item in items), task.max_items))
    return [item for item in items if item["id"] in wanted]
