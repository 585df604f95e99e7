"""The benchmarks whose files lie under a folder, found by the names that their authors gave them."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from crosstune.errors import BadInputError
from crosstune.languages.registry import canonical
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.runs.named_files import Tree
from crosstune.tasks.published import Published, Split, Suite, Way
from crosstune.tasks.registry import all_tasks
from crosstune.tasks.task import Task
from crosstune.terminal.output import note


@dataclass(frozen=True)
class Choice:
    """Which benchmarks are scored, and on what.

    Attributes:
        limit: draw at most so many items of each; all, or the paper's number, if None.
        tasks: names or labels of the only ones to score, of whatever suite; all of the suite, if empty.
        skip_missing: go on without the benchmarks whose files are not there.
        source: the language that the model knew.
        target: the one that it was extended to.
    """

    suite: Suite | Literal["all"]
    data_root: Path | None
    split: Split = "test"
    limit: int | None = None
    skip_missing: bool = False
    source: str = "en"
    target: str = "ko"
    tasks: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What messages call the choice."""
        return f"the tasks {', '.join(self.tasks)}" if self.tasks else f"the suite {self.suite}"

    @property
    def directions(self) -> tuple[str, str]:
        """Both directions of translation, out of the target language first, as the paper's tables have them."""
        return f"{self.target}-{self.source}", f"{self.source}-{self.target}"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark in the languages that are asked for.

    Attributes:
        ways: each way in which it is published, with its files.
    """

    task: Task
    published: Published
    language: str | None
    ways: list[Way]

    @property
    def has_own_items(self) -> bool:
        """Whether crosstune brings the items in this language; the user's files, where some are there, go before."""
        return self.task.file_of(self.language) is not None


def benchmarks_of(choice: Choice) -> dict[str, Benchmark]:
    """Return the benchmarks of a suite that exist in the languages, by label; of all suites, those that are named.

    Raises:
        BadInputError: for a name that none of them has.
    """
    found = {label: mark for label, mark in _of_all_suites(choice).items() if _is_chosen(label, mark, choice)}
    for name in choice.tasks:
        if not any(name in (label, mark.task.name) for label, mark in found.items()):
            known = sorted({mark.task.name for mark in _of_all_suites(choice).values()})
            close = difflib.get_close_matches(name, known, n=1)
            perhaps = f"did you mean {close[0]}? " if close else ""
            raise BadInputError(
                f"--tasks {name}: no benchmark in {choice.source} or {choice.target} has this name; {perhaps}There are "
                f"{', '.join(known)}"
            )
    return found


def _is_chosen(label: str, mark: Benchmark, choice: Choice) -> bool:
    if choice.tasks:
        return not {*choice.tasks}.isdisjoint({label, mark.task.name})
    # Whoever asks for all published benchmarks asks for no chat.
    return choice.suite == mark.published.suite or (choice.suite == "all" and mark.published.suite != "chat")


def _of_all_suites(choice: Choice) -> dict[str, Benchmark]:
    found = {}
    pair = (canonical(choice.source), canonical(choice.target))
    for task in all_tasks().values():
        published = task.published
        if published is None:
            continue
        label = published.label or task.name
        if task.judge == "translation":
            if not task.languages or {*pair} <= {*task.languages}:
                found[label] = Benchmark(task, published, None, published.ways(choice.split, pair))
            continue
        for language in pair:
            if not task.languages or language in task.languages:
                which = label if task.language else f"{label}_{language}"
                own = None if task.language else language
                found[which] = Benchmark(task, published, own, published.ways(choice.split, [language]))
    return found


def find_tasks(choice: Choice, max_new_tokens: int) -> dict[str, dict[str, Any]]:
    """Return the recipe's tasks for the benchmarks whose files lie under the data root, by label.

    Raises:
        BadInputError: when there is no such folder, a file lies there more than once, or is missing and may not be.
    """
    wanted = benchmarks_of(choice)
    if choice.data_root is None:
        return _without_files(wanted, choice, max_new_tokens)
    if not choice.data_root.is_dir():
        raise BadInputError(f"--data-root {choice.data_root} is not a folder: give the folder with the benchmark files")
    tree = Tree(choice.data_root)
    found = {label: files_of(mark, tree) for label, mark in wanted.items()}
    missing = [
        label
        for label, mark in wanted.items()
        if not found[label] and not mark.has_own_items and not found.get(mark.published.alternative)
    ]
    _tell_missing({label: wanted[label] for label in missing}, choice, tree)
    for label, mark in wanted.items():
        if not found[label] and label not in missing and not mark.has_own_items:
            note(f"{label} is not there; using {mark.published.alternative} instead")
    tasks = {
        label: _settings(wanted[label], paths, choice, max_new_tokens)
        for label, paths in found.items()
        if paths or wanted[label].has_own_items
    }
    for label, settings in tasks.items():
        paths = settings["paths"]
        if not paths:
            note(f"{label}: crosstune's own items")
            continue
        note(f"{label}: {', '.join(paths) if len(paths) <= 3 else f'{paths[0]} and {len(paths) - 1} more files'}")
    if not tasks:
        raise BadInputError(
            f"nothing to score: none of the files of {choice.what} for {choice.source} and {choice.target} is in "
            f"{choice.data_root}"
        )
    return tasks


def _without_files(wanted: Mapping[str, Benchmark], choice: Choice, max_new_tokens: int) -> dict[str, dict[str, Any]]:
    """Return the tasks whose items crosstune brings, where no folder of files is given.

    Raises:
        BadInputError: when some need files, or there are none.
    """
    needing = [label for label, mark in wanted.items() if not mark.has_own_items]
    if needing and not choice.skip_missing:
        files = "\n".join(f"  {line}" for line in _missing_lines({label: wanted[label] for label in needing}, None))
        raise BadInputError(
            f"these need files, and no folder is given:\n{files}\nGive --data-root, the folder that they lie under. "
            f"Without one, there are {_own_items()}: --suite chat, or --tasks"
        )
    tasks = {label: _settings(mark, (), choice, max_new_tokens) for label, mark in wanted.items() if mark.has_own_items}
    if not tasks:
        raise BadInputError(f"nothing to score: {', '.join(needing)} were skipped, for there is no --data-root")
    return tasks


def _own_items() -> str:
    """Return which items crosstune brings, in words."""
    tasks = [task for task in all_tasks().values() if task.own_file]
    return " and ".join(f"{task.name} in {', '.join(task.own_languages)}" for task in tasks)


def _settings(mark: Benchmark, paths: Sequence[str], choice: Choice, max_new_tokens: int) -> dict[str, Any]:
    """Return what a recipe says of a benchmark."""
    settings: dict[str, Any] = {"task": mark.task.name, "paths": list(paths), **dict(mark.published.settings)}
    if mark.language:
        settings["language"] = mark.language
    if mark.task.judge == "translation":
        asking = [language for language in (choice.source, choice.target) if language in TRANSLATION_INSTRUCTIONS]
        if not asking:
            raise BadInputError(
                f"{mark.task.name} needs an instruction in {choice.source} or {choice.target}, but there "
                f"are some in {', '.join(sorted(TRANSLATION_INSTRUCTIONS))} only. Write a recipe with "
                "data.translation_instructions"
            )
        settings |= {"directions": list(choice.directions), "instruction_languages": asking}
    if mark.task.is_generated:
        settings["max_new_tokens"] = max_new_tokens
    limits = [limit for limit in (choice.limit, settings.get("max_items")) if limit]
    return {**settings, "max_items": min(limits, default=None)}


def files_of(mark: Benchmark, tree: Tree) -> tuple[str, ...]:
    """Return the files of the first way of publishing that is there as a whole, relative to the tree's root.

    Raises:
        BadInputError: when a file that may be there once is there more often.
    """
    for way in mark.ways:
        found = [(" or ".join(globs), _matches(globs, tree, mark.task)) for globs in way]
        if all(matches for _, matches in found):
            for glob, matches in found:
                if len(matches) > 1 and not mark.published.several:
                    raise BadInputError(
                        f"{tree.root} holds {glob} more than once: {', '.join(matches)}. It is unclear which one is "
                        f"meant: give a --data-root that holds one of them"
                    )
            return tuple(dict.fromkeys(path for _, matches in found for path in matches))
    return ()


def _matches(globs: Sequence[str], tree: Tree, task: Task) -> list[str]:
    """Return the files of these names; several benchmarks call theirs ko/test-00000-of-00001.parquet."""
    found = {path for glob in globs for path in tree.matching(f"**/{glob}") if path.is_file()}
    return sorted(str(path.relative_to(tree.root)) for path in found if _may_hold(path, task))


def _may_hold(path: Path, task: Task) -> bool:
    """Return whether a file has the columns of a benchmark, as far as its form says so without being read."""
    if path.suffix != ".parquet" or not task.layouts:
        return True
    try:
        columns = set(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError):
        return True  # whoever reads it says what is wrong with it
    return any(columns.issuperset(layout.columns) for layout in task.layouts)


def _tell_missing(missing: Mapping[str, Benchmark], choice: Choice, tree: Tree) -> None:
    lines = list(_missing_lines(missing, tree))
    if lines and not choice.skip_missing:
        raise BadInputError(
            f"of {choice.what}, these were not found under {choice.data_root}:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nPut the files there under their original names, in any folder, or continue without them: "
            "--skip-missing. --split dev uses the development files of benchmarks that have some."
        )
    for line in lines:
        note(f"skipped, not found: {line}")


def _missing_lines(missing: Mapping[str, Benchmark], tree: Tree | None) -> Iterator[str]:
    told: list[str] = []
    for label, mark in missing.items():
        told.append(label)
        other = mark.published.alternative
        if other in told:
            continue  # It was told with the one that it may stand for.
        files = _shown(mark, tree)
        yield f"{label}: {files}, or {_shown(missing[other], tree)}" if other in missing else f"{label}: {files}"


def _shown(mark: Benchmark, tree: Tree | None) -> str:
    """Return which files are missing, of the first way of publishing: of many, how many and the first one."""
    way = mark.ways[0]
    absent = [
        " or ".join(globs) for globs in way if len(way) <= 2 or tree is None or not _matches(globs, tree, mark.task)
    ]
    shown = " and ".join(absent) if len(absent) <= 3 else f"{len(absent)} of {len(way)} files, as {absent[0]}"
    return f"{shown}, which you write as docs/{mark.task.name}.md shows" if mark.task.own_file else shown
