"""Tasks of lm-evaluation-harness: ours under ``tasks/`` on a local items file, and any other or a group by its name."""

import difflib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from crosstune import tasks
from crosstune.errors import BadInputError
from crosstune.evaluate.harness.copies import CopyMissingError, copies_for_the_hub
from crosstune.evaluate.scores import QUICK_AGGREGATIONS
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import EvaluationTask
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.hashes import describe_files, hash_file
from crosstune.runs.records import hash_of_items
from crosstune.tasks.registry import all_tasks

FOLDER = Path(tasks.__file__).parent / "harness"
# What the harness draws solved examples by, unless it is told otherwise.
_FEWSHOT_SEED = 1234


@dataclass(frozen=True)
class Loaded:
    """What a name stands for in the harness.

    Attributes:
        tasks: by their names; of a group all tasks of it and of the groups in it.
        is_group: whether they are one row together.
        counts_items: whether each item of a group counts alike, or each task.
        copies: the folders that documents were read from, of a task with copies of data sets.
    """

    tasks: Mapping[str, Any]
    is_group: bool = False
    counts_items: bool = True
    copies: tuple[Path, ...] = ()

    def hash_of_documents(self) -> str:
        """Return a hash of all that is asked, and of what solved examples are drawn from."""
        asked = chain.from_iterable(task.eval_docs for task in self.tasks.values())
        shown = chain.from_iterable(task.fewshot_docs() for task in self.tasks.values() if task.config.num_fewshot)
        # Of what JSON cannot hold, as an image, its kind: its address would be another each time.
        return hash_of_items(json.dumps(doc, default=lambda value: type(value).__name__) for doc in chain(asked, shown))


class AskedAs(NamedTuple):
    """How tasks are asked: alike for all that are asked together.

    Attributes:
        in_chat: in the model's chat template.
        multiturn: with solved examples as turns of their own.
        is_rendered: by questions that the recipe's chat template wrote, whose control tokens are tokens.
    """

    in_chat: bool
    multiturn: bool
    is_rendered: bool


@dataclass(frozen=True)
class HarnessTask:
    """A task of the harness, and where its documents come from.

    Attributes:
        name: what the harness calls it, or a group of tasks.
        items: our items file; None for a task that brings its own documents.
        prompt: the template around instructions, for those of our tasks that have one.
        include_path: a folder with further task files.
        language: of the items, for those of our tasks that exist in several.
        max_items: how many of its own documents are drawn, by ``sample_seed``; our items are drawn by the data stage.
        num_fewshot: how many solved examples stand before a question; the task's own number, if None.
        chat_template: whether it is asked in the model's chat template.
        fewshot_as_multiturn: whether solved examples are then turns of their own.
        copies: the folder that holds copies of data sets of the hub; None if they come from there.
        read_from: the copies that its documents were found to be read from.
        documents: a hash of the documents of a task of the user's own, which may lie in any file.
        has_more_resamples: whether its scores were found to have as many as others; before, they had a hundred.
    """

    name: str
    items: Path | None = None
    prompt: Template = TEMPLATES["paper-v1"]
    include_path: Path | None = None
    language: str | None = None
    max_items: int | None = None
    sample_seed: int = 0
    num_fewshot: int | None = None
    chat_template: bool = False
    fewshot_as_multiturn: bool = True
    copies: Path | None = None
    read_from: tuple[Path, ...] = ()
    documents: str = ""
    has_more_resamples: bool = False

    @classmethod
    def of(cls, task: EvaluationTask, items: Path, prompt: Template, root: Path) -> "HarnessTask":
        """Return a recipe's task; ``root`` is what its ``include_path`` is relative to."""
        if task.spec.judge != "harness":
            return cls(task.task, items, prompt, language=task.language)
        include = task.include_path and root / task.include_path
        return cls(
            task.name,
            include_path=include,
            max_items=task.max_items,
            sample_seed=task.sample_seed,
            num_fewshot=task.num_fewshot,
            chat_template=task.chat_template,
            fewshot_as_multiturn=task.fewshot_as_multiturn,
            copies=task.copies and root / task.copies,
        )

    @property
    def asked_as(self) -> AskedAs:
        """How the harness is told to ask, and what it asks was written by."""
        is_rendered = bool(self.items and self.prompt.controls and all_tasks()[self.name].instruction)
        return AskedAs(self.chat_template, self.chat_template and self.fewshot_as_multiturn, is_rendered)

    def looked_at(self) -> "HarnessTask":
        """Load it, so that what cannot be had is told before a model is loaded, and note what its documents are.

        Raises:
            BadInputError: as `load`.
        """
        if self.items is not None:
            return self
        found = self.load()
        documents = found.hash_of_documents() if self.include_path else ""
        aggregations = {
            getattr(one, "__name__", "") for task in found.tasks.values() for one in task.aggregation().values()
        }
        more = not found.counts_items or bool(aggregations & {*QUICK_AGGREGATIONS})
        return replace(self, read_from=found.copies, documents=documents, has_more_resamples=more)

    def file_hashes(self) -> dict[str, str]:
        """Return the hashes of the files that decide its scores: its task files, documents, and copies of data sets.

        The harness's own task files come with its version.
        """
        folder = FOLDER if self.items else self.include_path or Path()
        files = sorted(folder.rglob("*")) if self.items or self.include_path else []
        hashes = {str(path.relative_to(folder)): hash_file(path) for path in files if path.suffix in (".yaml", ".py")}
        hashes |= {"(documents)": self.documents} if self.documents else {}
        hashes |= {"(resampled)": "2"} if self.has_more_resamples else {}
        copies = {f"{copy.parent.name}/{copy.name}": describe_files(copy) for copy in self.read_from}
        return hashes | {name: fingerprint("copy", files) for name, files in copies.items()}

    def load(self) -> Loaded:
        """Load it, with its documents.

        Raises:
            BadInputError: for a name that the harness does not know; when its documents cannot be had, as without a
                network; when it takes no other number of solved examples.
        """
        from lm_eval.tasks import TaskManager

        if self.items:
            metadata = {"path": str(self.items), "prompt": self.prompt, "language": self.language}
            manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata)
            return Loaded(manager.load(self.name)["tasks"])
        manager = self._manager()
        try:
            with copies_for_the_hub(self.copies) as read:
                found = manager.load(self.name)
        except CopyMissingError as error:
            raise BadInputError(f"the task {self.name!r} of lm-evaluation-harness needs a copy: {error}") from None
        except Exception as error:  # whatever a task file, its code, or the hub's client raises
            raise BadInputError(
                f"the task {self.name!r} of lm-evaluation-harness cannot be loaded: {type(error).__name__}: {error}. "
                "Most tasks take their documents from the hub: run once with a network, give a folder of copies "
                "(`copies`), or write a task file that names local files (dataset_path: json, dataset_kwargs: "
                "{data_files: ...}) and give its folder as include_path"
            ) from error
        for name, task in found["tasks"].items():
            self._set_examples(name, task)
        group = found["groups"].get(self.name)
        metrics = (group.aggregate_metric_list if group else None) or []
        counts_items = all(metric.weight_by_size for metric in metrics)
        return Loaded(found["tasks"], self.name not in manager.all_subtasks, counts_items, tuple(sorted(read)))

    def _set_examples(self, name: str, task: Any) -> None:
        """Set how many solved examples stand before a question, and which, as the harness's own command does."""
        own = task.get_config("num_fewshot")
        if self.num_fewshot not in (None, own) and own == 0:
            raise BadInputError(
                f"num_fewshot: {self.num_fewshot} was asked of the task {name!r}, which is only for questions without "
                "solved examples: lm-evaluation-harness takes no other number of it. Remove num_fewshot"
            )
        task.set_config("num_fewshot", own or 0 if self.num_fewshot is None else self.num_fewshot)
        task.set_fewshot_seed(_FEWSHOT_SEED)

    def draw(self, loaded: Loaded) -> dict[str, list[int]] | None:
        """Return the documents to score, by task, or None for all; of a group so many are drawn from all together."""
        places = [(name, index) for name, task in loaded.tasks.items() for index in range(len(task.eval_docs))]
        if self.items or self.max_items is None or len(places) <= self.max_items:
            return None
        drawn = sorted(random.Random(self.sample_seed).sample(range(len(places)), self.max_items))
        found: dict[str, list[int]] = {}
        for place in drawn:
            name, index = places[place]
            found.setdefault(name, []).append(index)
        return found

    def _manager(self) -> Any:
        """Return a manager that knows the task; files of the user's own go before the harness's of the same name."""
        from lm_eval.tasks import TaskManager

        if self.include_path and not self.include_path.is_dir():
            raise BadInputError(
                f"the task {self.name!r} needs include_path {self.include_path}, which is not a folder: give the "
                f"folder of your task files, relative to data_root"
            )
        own = TaskManager(include_path=str(self.include_path), include_defaults=False) if self.include_path else None
        if own and self.name in own.all_tasks:
            return own
        manager = _own_tasks_of_the_harness()
        if self.name in manager.all_tasks:
            return manager
        known = [*(own.all_tasks if own else ()), *manager.all_tasks]
        close = difflib.get_close_matches(self.name, known, n=5)
        raise BadInputError(
            f"lm-evaluation-harness has no task {self.name!r}; names like it: {', '.join(close) or 'none'}. "
            "`lm-eval ls tasks` lists all; tasks of your own lie in include_path"
        )


@cache
def _own_tasks_of_the_harness() -> Any:
    """Return the manager of the harness's 13,000 task files, which take seconds to find."""
    from lm_eval.tasks import TaskManager

    return TaskManager()
