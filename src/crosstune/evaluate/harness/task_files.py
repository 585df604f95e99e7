"""Tasks of lm-evaluation-harness: ours under ``tasks/`` on a local items file, and any other by its name."""

import difflib
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from crosstune import tasks
from crosstune.errors import BadInputError
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import EvaluationTask
from crosstune.runs.hashes import hash_file

FOLDER = Path(tasks.__file__).parent / "harness"


@dataclass(frozen=True)
class HarnessTask:
    """A task of the harness, and where its documents come from.

    Attributes:
        name: what the harness calls it.
        items: our items file; None for a task that brings its own documents.
        prompt: the template around instructions, for those of our tasks that have one.
        include_path: a folder with further task files.
        language: of the items, for those of our tasks that exist in several.
        max_items: how many of its own documents are drawn, by ``sample_seed``; our items are drawn by the data stage.
    """

    name: str
    items: Path | None = None
    prompt: Template = TEMPLATES["paper-v1"]
    include_path: Path | None = None
    language: str | None = None
    max_items: int | None = None
    sample_seed: int = 0

    @classmethod
    def of(cls, task: EvaluationTask, items: Path, prompt: Template, root: Path) -> "HarnessTask":
        """Return a recipe's task; ``root`` is what its ``include_path`` is relative to."""
        if task.spec.judge != "harness":
            return cls(task.task, items, prompt, language=task.language)
        include = task.include_path and root / task.include_path
        return cls(task.name, None, include_path=include, max_items=task.max_items, sample_seed=task.sample_seed)

    def file_hashes(self) -> dict[str, str]:
        """Return the hashes of the task files that decide its scores; the harness's own come with its version."""
        folder = FOLDER if self.items else self.include_path
        if folder is None:
            return {}
        return {path.name: hash_file(path) for path in sorted(folder.rglob("*")) if path.suffix in (".yaml", ".py")}

    def load(self) -> Any:
        """Load it, with its documents.

        Raises:
            BadInputError: for a name that the harness does not know, or that of a group; or when its documents cannot
                be had, as without a network.
        """
        from lm_eval.tasks import TaskManager

        if self.items:
            metadata = {"path": str(self.items), "prompt": self.prompt, "language": self.language}
            manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata)
            return manager.load(self.name)["tasks"][self.name]
        manager = self._manager()
        try:
            task = manager.load(self.name)["tasks"][self.name]
        except Exception as error:  # whatever a task file, its code, or the hub's client raises
            raise BadInputError(
                f"the task {self.name!r} of lm-evaluation-harness cannot be loaded: {type(error).__name__}: {error}. "
                "Most tasks take their documents from the hub: run once with a network, or write a task file that "
                "names local files (dataset_path: json, dataset_kwargs: {data_files: ...}) and give its folder as "
                "include_path"
            ) from error
        return task

    def draw(self, task: Any) -> list[int] | None:
        """Return the documents to score, or None for all."""
        num_documents = len(task.eval_docs)
        if self.items or self.max_items is None or num_documents <= self.max_items:
            return None
        return sorted(random.Random(self.sample_seed).sample(range(num_documents), self.max_items))

    def _manager(self) -> Any:
        """Return a manager that knows the task; files of the user's own go before the harness's of the same name."""
        from lm_eval.tasks import TaskManager

        if self.include_path and not self.include_path.is_dir():
            raise BadInputError(
                f"the task {self.name!r} needs include_path {self.include_path}, which is not a folder: give the "
                f"folder of your task files, relative to data_root"
            )
        own = TaskManager(include_path=str(self.include_path), include_defaults=False) if self.include_path else None
        if own and self.name in own.all_subtasks:
            return own
        manager = _harnesss_own_tasks()
        if self.name in manager.all_subtasks:
            return manager
        if self.name in manager.all_tasks:
            raise BadInputError(
                f"{self.name!r} is a group of tasks of lm-evaluation-harness: name the tasks of it that you want, "
                f"each under its own label (`lm-eval ls subtasks` lists them)"
            )
        known = [*(own.all_subtasks if own else ()), *manager.all_subtasks]
        close = difflib.get_close_matches(self.name, known, n=5)
        raise BadInputError(
            f"lm-evaluation-harness has no task {self.name!r}; names like it: {', '.join(close) or 'none'}. "
            "`lm-eval ls subtasks` lists all; tasks of your own lie in include_path"
        )


@cache
def _harnesss_own_tasks() -> Any:
    """Return the manager of the harness's 13,000 task files, which take seconds to find."""
    from lm_eval.tasks import TaskManager

    return TaskManager()
