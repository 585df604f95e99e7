"""Which files are benchmarks of the registry: kept for evaluation, their training splits left alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize

import regex

from crosstune.data import evaluation_sets
from crosstune.data.benchmark_rows import benchmark_rows
from crosstune.data.readers.text_files import TextFile
from crosstune.data.rows import BadRow
from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Benchmark, Choice, benchmarks_of, files_of
from crosstune.init.found import FoundFile
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.recipe import EvaluationTask, Languages
from crosstune.recipe.section import NAME
from crosstune.runs.named_files import Tree
from crosstune.tasks.registry import all_tasks
from crosstune.tasks.task import Task

_TRIED = 50
_GOOD_SHARE = 0.9
_MAX_ITEMS = 500
_MOST_SENTENCES = 200
_NOT_IN_NAMES = regex.compile(r"[^\p{Ll}\p{Lo}\p{Lm}\p{M}\p{Nd}]+")
# In a folder's name a letter takes up to four bytes of 255, and other words stand beside it.
_LONGEST_NAME = 50


@dataclass(frozen=True)
class Recognised:
    """The benchmarks of a folder.

    Attributes:
        tasks: settings of each, by label, as a recipe has them.
        files: every file that belongs to a benchmark, and what is done with it.
    """

    tasks: dict[str, dict[str, Any]]
    files: dict[str, FoundFile]


def recognise(root: Path, paths: Sequence[Path], languages: Languages) -> Recognised:
    """Recognise benchmarks by the names that their authors gave their files, then others by their columns.

    Without files there are none, whatever lies under the root: it is where the command was typed then.
    """
    if not paths:
        return Recognised({}, {})
    # What the walk left out is no benchmark either: a package of an environment, an earlier run.
    known = {path.relative_to(root).as_posix() for path in paths}
    tree = Tree(root)
    tasks: dict[str, dict[str, Any]] = {}
    files: dict[str, FoundFile] = {}
    for split in ("test", "dev"):
        choice = Choice("all", root, split, source=languages.source, target=languages.target)
        for label, mark in benchmarks_of(choice).items():
            if label in tasks:
                continue
            try:
                names = files_of(mark, tree)
            except BadInputError as error:
                files |= _left_out(mark, error)
                continue
            settings = _settings(mark.task, names, mark.language, languages)
            if names and known.issuperset(names) and _is_readable(settings, root, languages):
                tasks[label] = settings
                files |= {name: _kept(name, mark.task, settings) for name in names}
    for path in paths:
        name = path.relative_to(root).as_posix()
        if name not in files and (task := _by_columns(path, name, languages)):
            files[name] = FoundFile(name, reason=f"another split of {task.title}, kept out of training")
    return Recognised(tasks, files)


def _left_out(mark: Benchmark, error: BadInputError) -> dict[str, FoundFile]:
    return {f"({mark.task.name})": FoundFile(f"({mark.task.name})", reason=str(error))}


def _kept(name: str, task: Task, settings: dict[str, Any]) -> FoundFile:
    return FoundFile(
        name, "benchmark", settings.get("language", task.language or ""), reason=f"{task.title}: for evaluation"
    )


def _settings(task: Task, names: Sequence[str], language: str | None, languages: Languages) -> dict[str, Any]:
    content: dict[str, Any] = {"task": task.name, "paths": list(names)}
    if language:
        content["language"] = language
    if task.judge == "translation":
        content |= translation_cells(languages)
    content["max_items"] = _MOST_SENTENCES if task.is_generated else _MAX_ITEMS
    if task.is_generated:
        content["max_new_tokens"] = 128 if task.judge == "translation" else 16
    return content


def translation_cells(languages: Languages) -> dict[str, Any]:
    """Return how translations are asked for: in both directions, in each language that there are wordings in."""
    asking = [code for code in (languages.source, languages.target) if code in TRANSLATION_INSTRUCTIONS]
    return {"directions": list(languages.directions), "instruction_languages": asking}


def _is_readable(settings: dict[str, Any], root: Path, languages: Languages) -> bool:
    try:
        task = EvaluationTask.model_validate(settings, strict=False)
        items = evaluation_sets.read(task, [root / name for name in settings["paths"]], root, languages)
        found = list(islice(items, _TRIED))
    # A file that goes by a benchmark's name and is none is looked at again, as a corpus.
    except Exception:
        return False
    return bool(found) and sum(not isinstance(one, BadRow) for one in found) >= _GOOD_SHARE * len(found)


def _by_columns(path: Path, name: str, languages: Languages) -> Task | None:
    """Return the benchmark whose columns and labels a file has."""
    pair = {languages.source, languages.target}
    for task in _most_columns_first():
        if task.languages and not pair & set(task.languages):
            continue
        try:
            rows = list(islice(benchmark_rows(task, TextFile(path, name)), _TRIED))
            items = [task.item(row.content) for row in rows if not row.problem]
            problems = [task.problem(item, ()) for item in items]
        # What is no file of this task is refused by its reader, in many ways.
        except Exception:
            continue
        if items and not any(problems) and len(items) == len(rows):
            return task
    return None


def _most_columns_first() -> Iterator[Task]:
    """Yield tasks with labels of their own: a column of text and one of labels alone is anybody's."""
    told = [
        task
        for task in all_tasks().values()
        if task.layouts and task.num_labels and min(len(layout.columns) for layout in task.layouts) > 1
    ]
    yield from sorted(told, key=lambda task: -max(len(layout.columns) for layout in task.layouts))


def as_label(name: str) -> str:
    """Return a name that a recipe may have: the letters and digits of a file's."""
    label = _NOT_IN_NAMES.sub("_", normalize("NFKC", name).lower()).strip("_")[:_LONGEST_NAME].rstrip("_")
    # A number alone, 2024 or 1e5, would be read as one.
    is_name = regex.fullmatch(NAME, label) and not regex.fullmatch(r"\d[\d_e]*", label)
    return label if is_name else f"file_{label}".rstrip("_")
