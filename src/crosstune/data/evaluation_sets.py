"""The items of an evaluation set: read with their places, checked, drawn by seed; their texts stay as they are."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crosstune.data.benchmark_rows import benchmark_rows, is_plain_text
from crosstune.data.files import find, place
from crosstune.data.readers.text_files import TextFile
from crosstune.data.rows import BadRow, Drops, OnBadRow, is_encodable, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.languages.writing_systems import num_letters, target_script_ratio
from crosstune.recipe import EvaluationTask, Languages, Source
from crosstune.tasks.answers.items import instruction_items
from crosstune.tasks.answers.wordings import read_wordings
from crosstune.tasks.layout import NoItem
from crosstune.tasks.task import Item

# What a recipe says of the files themselves.
SETTINGS_OF_FILES = {"encoding", "format", "columns"}
# A text of fewer letters may be a name or a formula.
_TELLING_LETTERS = 10


def files_of(task: EvaluationTask, root: Path, where: str) -> tuple[list[Path], Path]:
    """Return the files of an evaluation set and the folder that they are named in: the user's, or our own.

    Raises:
        BadInputError: when one is not there; ``where`` names the setting.
    """
    own = None if task.paths else task.spec.file_of(task.language)
    return ([own], own.parent) if own else (find(task.paths, root, where), root)


def read(task: EvaluationTask, paths: Sequence[Path], root: Path, languages: Languages) -> Iterator[Item | BadRow]:
    """Yield the items of an evaluation set in file order."""
    kind = task.spec.judge
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
            yield from _items_of_file(task, path, place(path, root), task.language, several=len(paths) > 1)


def _items_of_file(
    section: EvaluationTask, path: Path, name: str, language: str | None, several: bool
) -> Iterator[Item | BadRow]:
    """Yield a file's items; an id that occurs twice is told apart by its place, and a row that occurs twice is bad."""
    task = section.spec
    seen: dict[str, Item] = {}
    for origin, row, problem in benchmark_rows(task, TextFile(path, name, section.encoding)):
        at = origin.removeprefix(f"{name}:")
        try:
            if problem:
                raise NoItem(problem)
            item = task.item(row)
            if language and (other := task.layout_of(row).other_language(row, language)):
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
    _refuse_another_language(label, task, found, languages)
    return _drawn(found, task), drops


def _refuse_another_language(label: str, task: EvaluationTask, items: Sequence[Item], languages: Languages) -> None:
    """Stop where texts are in another script than their language's, or both sides of a translation are the same."""
    named = {
        "translation": {code: code for code in (languages.source, languages.target)},
        "text": {"text": task.language or ""},
    }
    sides = named.get(task.spec.judge, {})
    for name, code in sides.items():
        long = [item for item in items if num_letters(item[name]) >= _TELLING_LETTERS]
        others = [item for item in long if code and target_script_ratio(item[name], code) == 0]
        if 2 * len(others) > len(long):
            raise BadInputError(
                f"evaluate.tasks.{label}: texts in {code} are asked for, but {len(others)} of {len(long)} have no "
                f"letter of its script; first: {others[0]['origin']} {others[0][name][:80]!r}. Correct `paths`, their "
                "order (the source language first) or the language; one that is written in another script names it, "
                "as sr-Latn"
            )
    same = [item for item in items if len(sides) > 1 and len({item[name] for name in sides}) == 1]
    if 2 * len(same) > len(items):
        raise BadInputError(
            f"evaluate.tasks.{label}: {len(same)} of {len(items)} sentences are their own translations; first: "
            f"{same[0]['origin']}. Correct `paths`: the same file was given for both languages"
        )


def _drawn(items: list[Item], task: EvaluationTask) -> list[Item]:
    """Draw from the sorted ids, and return the drawn items in the order of the file."""
    if task.max_items is None or len(items) <= task.max_items:
        return items
    wanted = set(random.Random(task.sample_seed).sample(sorted(item["id"] for item in items), task.max_items))
    return [item for item in items if item["id"] in wanted]
