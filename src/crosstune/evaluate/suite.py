"""The suite: a recipe's tasks with their items, and what a model scores on them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.comet import Comet
from crosstune.evaluate.generate.generation import Write
from crosstune.evaluate.harness.generated_tasks import Generator
from crosstune.evaluate.harness.multiple_choice import score_in_harness
from crosstune.evaluate.harness.task_files import HarnessTask
from crosstune.evaluate.items import read_items
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import Result
from crosstune.models.chat_template import ChatTemplate, template_of
from crosstune.prompts.templates import Template
from crosstune.recipe import Evaluate, EvaluationTask, Recipe
from crosstune.runs.files import write_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.tasks.task import Item


@dataclass(frozen=True)
class Suite:
    """The tasks of a recipe, by label.

    Attributes:
        items: of the tasks whose items the data stage wrote.
        harness_tasks: those that the harness runs; answers of the others are written by our own loop.
    """

    tasks: Mapping[str, EvaluationTask]
    items: Mapping[str, list[Item]]
    harness_tasks: Mapping[str, HarnessTask]
    settings: Evaluate
    template: Template

    @classmethod
    def of(cls, recipe: Recipe, run: RunFolder) -> Self:
        """Read every evaluation set and find every task, so that a bad one stops the run before a model is loaded."""
        template, root = template_of(recipe), recipe.data_root or run.world
        items = {
            label: read_items(items_file(run, label), task.spec, recipe.languages_of(task).codes)
            for label, task in recipe.evaluate.tasks_with_files.items()
        }
        harness_tasks = {
            label: HarnessTask.of(task, items_file(run, label), template, root).looked_at()
            for label, task in recipe.evaluate.tasks.items()
            if not task.spec.is_generated
        }
        return cls(recipe.evaluate.tasks, items, harness_tasks, recipe.evaluate, template)

    def smaller(self, labels: Sequence[str], max_items: int, folder: Path) -> Self:
        """Return the suite with some of its tasks (all, without labels) and a draw of their items, kept in a folder."""
        tasks = {label: task for label, task in self.tasks.items() if not labels or label in labels}
        items, harness_tasks = {}, {}
        for label, task in tasks.items():
            if label in self.items:
                items[label] = _drawn(self.items[label], max_items, task.sample_seed)
            if label in self.harness_tasks:
                path = folder / f"{label}.jsonl"
                if label in items:
                    write_jsonl(path, items[label])
                    harness_tasks[label] = replace(self.harness_tasks[label], items=path)
                else:
                    fewer = min(max_items, task.max_items or max_items)
                    harness_tasks[label] = replace(self.harness_tasks[label], max_items=fewer)
        return replace(self, tasks=tasks, items=items, harness_tasks=harness_tasks)

    def instructions(self) -> list[Any]:
        """Return all instructions that translations are asked for with."""
        return [
            self.template.translation_instructions(direction, language, task.wordings_in(language))
            for task in self.tasks.values()
            for direction in task.directions
            for language in task.instruction_languages
        ]

    def prompts(self) -> list[Any]:
        """Return what shows how prompts are made: the template, with its options and date, and a prompt of it."""
        example = [self.template.prompt("{instruction}", "{input}"), self.template.completion("")]
        return [self.template.chat_template(), *example]

    def score(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        log: OutputLog,
        comet: Comet | None = None,
        write: Write | None = None,
        known: Mapping[str, Result] | None = None,
    ) -> list[Result]:
        """Let a model answer all tasks, in their order; ``log`` keeps answers as they come, ``write`` may give them.

        ``known`` are results, by label, that are taken as they are.
        """
        settings = self.settings
        if isinstance(self.template, ChatTemplate):
            # With the recipe's options and date, for untrained systems, too.
            tokenizer.chat_template = self.template.chat_template()
        results = dict(known or {})
        open_tasks = {label: task for label, task in self.harness_tasks.items() if label not in results}
        results |= score_in_harness(model, tokenizer, open_tasks, settings, log)
        generator = Generator(model, tokenizer, self.template, settings, log, comet, write)
        for label, task in self.tasks.items():
            if label not in results:
                results[label] = generator.score(label, task, self.items[label])
        return [results[label] for label in self.tasks]


def items_file(run: RunFolder, label: str) -> Path:
    """Return where the data stage puts a task's items."""
    return run.evaluation_set(label) / "items.jsonl"


def _drawn(items: list[Item], max_items: int, seed: int) -> list[Item]:
    if len(items) <= max_items:
        return items
    return [items[index] for index in sorted(random.Random(seed).sample(range(len(items)), max_items))]
