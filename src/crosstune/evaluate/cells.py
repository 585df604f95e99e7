"""What the generated tasks ask: one cell; for translation one per direction, language and wording asked in."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crosstune.languages.registry import split_direction
from crosstune.prompts.templates import Template
from crosstune.recipe import EvaluationTask
from crosstune.tasks.answers.rules import Rule
from crosstune.tasks.task import Item, Task

# Of twelve or more: enough for a mean and a worst, at ten times the cost of one.
NUM_WORDINGS = 10


@dataclass(frozen=True)
class Cell:
    """What is asked under one instruction, and what would be right.

    Attributes:
        name: the task's name in the scores: ``LABEL_source_target_instructionlanguage`` of a translation, followed by
            ``_wNN`` where it is one of several wordings, by their number in the bank or the recipe.
        wordings_of: the name of the cell whose wordings it is one of; empty where there is one wording.
        sources: what is translated, or asked about.
        references: of each item, what is right: translations, or a keyword; the first one is shown.
        source_language: of a translation; empty for other tasks.
        target_language: of a translation; empty for other tasks.
        instruction: the words that ask.
        language: that rules are checked in; empty for tasks without rules.
        answer_languages: of each item, the language that its answer should be in; of a translation its target.
        rules: of each item of instructions, what its answer is checked for.
        earlier: of a second request, each item's first answer.
    """

    name: str
    wordings_of: str
    ids: list[str]
    prompts: list[str]
    sources: list[str]
    references: list[tuple[str, ...]]
    source_language: str
    target_language: str
    instruction: str
    max_new_tokens: int
    task: Task
    language: str = ""
    answer_languages: tuple[str, ...] = ()
    rules: tuple[tuple[Rule, ...], ...] = ()
    earlier: tuple[str, ...] = ()


def cells_of(label: str, task: EvaluationTask, items: Sequence[Item], template: Template) -> list[Cell]:
    """Return a task's cells: one; of translations direction times instruction language times wording.

    Instructions and open questions have theirs in `free_answers`.
    """
    spec = task.spec
    if spec.judge == "keywords":
        ids, asked = [item["id"] for item in items], [item[spec.asked] for item in items]
        prompts = [template.prompt(spec.instruction, text) for text in asked]
        keywords: list[tuple[str, ...]] = [(spec.keywords[item["label"]],) for item in items]
        cell = Cell(label, "", ids, prompts, asked, keywords, "", "", spec.instruction, task.max_new_tokens, spec)
        return [replace(cell, answer_languages=(spec.language or "",) * len(items))]
    return [
        cell
        for direction in task.directions
        for language in task.instruction_languages
        for cell in _translation_cells(label, task, items, direction, language, template)
    ]


def _translation_cells(
    label: str, task: EvaluationTask, items: Sequence[Item], direction: str, language: str, template: Template
) -> Iterator[Cell]:
    source, target = split_direction(direction)
    chosen, references = _references(task, items, source, target)
    name = f"{label}_{source}_{target}_{language}"
    instructions = template.translation_instructions(direction, language, task.wordings_in(language))
    for number in _drawn(task, len(instructions)):
        yield Cell(
            name=name if task.wordings == "paper" else f"{name}_w{number + 1:02d}",
            wordings_of="" if task.wordings == "paper" else name,
            ids=[item["id"] for item in chosen],
            prompts=[template.prompt(instructions[number], item[source]) for item in chosen],
            sources=[item[source] for item in chosen],
            references=references,
            source_language=source,
            target_language=target,
            instruction=instructions[number],
            max_new_tokens=task.max_new_tokens,
            task=task.spec,
            answer_languages=(target,) * len(chosen),
        )


def _references(
    task: EvaluationTask, items: Sequence[Item], source: str, target: str
) -> tuple[list[Item], list[tuple[str, ...]]]:
    """Return the items to ask, and the references of each."""
    if task.references == "one":
        return list(items), [(item[target],) for item in items]
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item[source], []).append(item)
    references = [tuple(dict.fromkeys(item[target] for item in group)) for group in groups.values()]
    return [group[0] for group in groups.values()], references


def _drawn(task: EvaluationTask, num_wordings: int) -> list[int]:
    if task.wordings != "held_out" or num_wordings <= NUM_WORDINGS:
        return list(range(num_wordings))
    return sorted(random.Random(task.sample_seed).sample(range(num_wordings), NUM_WORDINGS))
