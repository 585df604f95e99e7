"""`crosstune score`: benchmarks on any model folder, as a run without training whose recipe is made from the files."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe
from crosstune.runs import pipeline
from crosstune.runs.files import write_json
from crosstune.runs.fingerprint import fingerprint, hash_model_folder
from crosstune.runs.folder import RunFolder
from crosstune.terminal import note

SYSTEM = "model"
"""What the recipe calls the model that is scored."""

Split = Literal["test", "dev"]
Suite = Literal["paper", "korean", "all"]
_AS_THE_PAPER: dict[str, Any] = {"directions": ("ko-en", "en-ko"), "instruction_languages": ("en", "ko")}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark and the files that its authors publish, as globs.

    Attributes:
        dev: its development files, where it has a split of that name; others have the same files for both.
        alternative: the label of a benchmark that may stand in its place.
    """

    task: str
    suite: Suite
    test: tuple[str, ...]
    dev: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    alternative: str = ""

    def globs(self, split: Split) -> tuple[str, ...]:
        """Return the globs of its files."""
        return self.dev or self.test if split == "dev" else self.test


BENCHMARKS = {
    "hellaswag": Benchmark("hellaswag", "paper", ("hellaswag_val.jsonl",)),
    "copa": Benchmark("copa_2011_test", "paper", ("copa-test.xml",), ("copa-dev.xml",)),
    "nsmc": Benchmark("nsmc_generate", "paper", ("ratings_test.txt",)),
    # The paper's sentences: 1,000 of AI-Hub's everyday pairs. They may not be passed on, so NTREX may stand for them.
    "aihub": Benchmark(
        "translation",
        "paper",
        ("일상생활및구어체_한영_valid_set.json",),
        settings=(*_AS_THE_PAPER.items(), ("max_items", 1000)),
        alternative="ntrex",
    ),
    "ntrex": Benchmark(
        "translation",
        "paper",
        ("newstest2019-src.eng.txt", "newstest2019-ref.kor.txt"),
        settings=tuple(_AS_THE_PAPER.items()),
        alternative="aihub",
    ),
    "nsmc_likelihood": Benchmark("nsmc_likelihood", "korean", ("ratings_test.txt",)),
    "kobest_boolq": Benchmark("kobest_boolq", "korean", ("BoolQ/test.tsv",), ("BoolQ/dev.tsv",)),
    "kobest_copa": Benchmark("kobest_copa", "korean", ("COPA/test.tsv",), ("COPA/dev.tsv",)),
    "kobest_hellaswag": Benchmark("kobest_hellaswag", "korean", ("HellaSwag/test.tsv",), ("HellaSwag/dev.tsv",)),
    "kobest_sentineg": Benchmark("kobest_sentineg", "korean", ("SentiNeg/test.tsv",), ("SentiNeg/dev.tsv",)),
}


@dataclass(frozen=True)
class Choice:
    """Which benchmarks are scored, and on what.

    Attributes:
        limit: draw at most so many items of each; all, or the paper's number, if None.
        skip_missing: go on without the benchmarks whose files are not there.
    """

    suite: Suite
    data_root: Path
    split: Split = "test"
    limit: int | None = None
    skip_missing: bool = False


@dataclass(frozen=True)
class Asked:
    """The model and how it is asked: folders or hub ids, the template's name, the limit of an answer."""

    model: str
    tokenizer: str
    revision: str | None
    prompt: str
    max_new_tokens: int
    precision: Literal["float32", "bf16"]

    @property
    def label(self) -> str:
        """What tables call the model: the last parts of its path, as far as they tell models apart."""
        parts = [part for part in Path(self.model).parts if part not in ("/", ".", "..")]
        return "/".join(parts[-2:] if parts[-1:] == ["model"] else parts[-1:]) or self.model


def score(asked: Asked, choice: Choice, out: Path | None) -> tuple[Recipe, RunFolder]:
    """Score a model on the suite's files, and print the tables; an interrupted scoring goes on.

    Raises:
        BadInputError: when files are missing, are there more than once, or the model's folder is not there.
    """
    tasks = find_tasks(choice, asked.max_new_tokens)
    recipe = _recipe(asked, choice, tasks, out)
    facts = {"model": _place(asked.model), "revision": asked.revision, "tokenizer": _place(asked.tokenizer)}
    made_from = fingerprint("scored", facts, _content(asked.model), _content(asked.tokenizer))

    def prepare(run: RunFolder) -> None:
        write_json(run.system(SYSTEM) / "system.json", {**facts, "fingerprint": made_from, "phases": []})

    command = shlex.join(["crosstune", *sys.argv[1:]])
    run = pipeline.run_stages(recipe, ("data", "evaluate", "report"), command, update=True, prepare=prepare)
    return recipe, run


def find_tasks(choice: Choice, max_new_tokens: int) -> dict[str, dict[str, Any]]:
    """Return the recipe's tasks for the benchmarks whose files lie under the data root, by label.

    Raises:
        BadInputError: when there is no such folder, a file lies there more than once, or is missing and may not be.
    """
    if not choice.data_root.is_dir():
        raise BadInputError(
            f"--data-root {choice.data_root} is no folder: give the one under which the benchmarks' files lie"
        )
    wanted = {label: mark for label, mark in BENCHMARKS.items() if choice.suite in (mark.suite, "all")}
    found = {label: _files(mark.globs(choice.split), choice.data_root) for label, mark in wanted.items()}
    missing = [
        label
        for label, mark in wanted.items()
        if not found[label] and not (mark.alternative and found[mark.alternative])
    ]
    _tell_missing(missing, choice)
    for label in wanted:
        if not found[label] and label not in missing:
            note(f"{label} is not there; {wanted[label].alternative} stands in its place")
    tasks = {}
    for label, paths in found.items():
        if paths:
            mark = wanted[label]
            settings = {"task": mark.task, "paths": paths, **dict(mark.settings)}
            if mark.task in ("translation", "nsmc_generate"):
                settings["max_new_tokens"] = max_new_tokens
            limits = [limit for limit in (choice.limit, settings.get("max_items")) if limit]
            tasks[label] = {**settings, "max_items": min(limits, default=None)}
            note(f"{label}: {', '.join(paths)}")
    if not tasks:
        raise BadInputError(f"nothing to score: none of the files of the suite {choice.suite} is in {choice.data_root}")
    return tasks


def _files(globs: Sequence[str], root: Path) -> tuple[str, ...]:
    """Return one file per glob, relative to the root; none unless all are there."""
    found = []
    for glob in globs:
        matches = sorted(str(path.relative_to(root)) for path in root.rglob(glob) if path.is_file())
        if len(matches) > 1:
            raise BadInputError(
                f"{root} holds {glob} more than once: {', '.join(matches)}. Which one is meant cannot be known: give "
                "a --data-root that holds one of them"
            )
        found += matches
    return tuple(found) if len(found) == len(globs) else ()


def _tell_missing(missing: Sequence[str], choice: Choice) -> None:
    lines = list(_missing_lines(missing, choice.split))
    if lines and not choice.skip_missing:
        raise BadInputError(
            f"of the suite {choice.suite}, these were not found under {choice.data_root}:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nPut the files there under the names that their authors gave them, in any folder; or go on without "
            "them: --skip-missing. --split dev asks for the development files of those that have some."
        )
    for line in lines:
        note(f"skipped, because it is not there: {line}")


def _missing_lines(missing: Sequence[str], split: Split) -> Iterator[str]:
    for label in missing:
        mark = BENCHMARKS[label]
        if mark.alternative in missing and missing.index(mark.alternative) < missing.index(label):
            continue  # It was told with the one that it may stand for.
        files = " and ".join(mark.globs(split))
        if mark.alternative:
            files += f", or {' and '.join(BENCHMARKS[mark.alternative].globs(split))}"
        yield f"{label}: {files}"


def _place(model: str) -> str:
    """Return a folder's whole path, and a hub id as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _content(model: str) -> str:
    return hash_model_folder(Path(model)) if Path(model).is_dir() else ""


def _recipe(asked: Asked, choice: Choice, tasks: dict[str, Any], out: Path | None) -> Recipe:
    name = out.name if out else f"{_slug(asked.label)}_{choice.suite}_{fingerprint(asked.model, asked.tokenizer)[:6]}"
    if _slug(name) != name:
        raise BadInputError(
            f"--out {out}: the folder's name may hold small letters, digits and _, as {_slug(name) or 'scores'}: "
            "give another"
        )
    return Recipe.model_validate(
        {
            "name": name,
            "description": f"{asked.model}, the suite {choice.suite} on files of {choice.data_root}.",
            "seed": 1,
            "runs_root": out.parent if out else Path("runs"),
            "data_root": choice.data_root,
            "languages": {"source": "en", "target": "ko"},
            "data": {"prompt": asked.prompt, "sources": {}, "mixtures": {}},
            "tokenizer": {"base": {"kind": "given", "path": asked.tokenizer, "revision": asked.revision}},
            "systems": {
                SYSTEM: {
                    "start": _place(asked.model),
                    "tokenizer": "base",
                    "label": asked.label,
                    "revision": asked.revision,
                }
            },
            "evaluate": {"reference_system": SYSTEM, "tasks": tasks, "precision": asked.precision},
            "report": {"title": f"Scores of {asked.label}"},
        }
    )


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
