"""The systems of finished runs, asked the same question in the words of their training."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError, CrosstuneError
from crosstune.evaluate.harness.generated_tasks import max_positions
from crosstune.evaluate.systems import find_system, load_system
from crosstune.languages.registry import language_name, split_direction
from crosstune.models.chat_template import template_of
from crosstune.prompts.cleaning import clean
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import Template
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.serve.decoding import Decoding, Ending
from crosstune.serve.stream import stream
from crosstune.tasks.diagnostics import Expectation, failures
from crosstune.tokens.encode import encode_prompt


@dataclass(frozen=True)
class CandidateAnswer:
    """What a system wrote; ``finished`` tells whether it stopped by itself; if it was not asked, the text says why."""

    text: str
    num_tokens: int
    finished: bool
    was_asked: bool = True


@dataclass(frozen=True)
class Candidate:
    """A trained system of a run."""

    label: str
    recipe: Recipe
    run: RunFolder
    system: str

    @cached_property
    def template(self) -> Template:
        """The prompt that it was trained with."""
        return template_of(self.recipe)


@dataclass(frozen=True)
class Question:
    """An item of a run's evaluation sets, as evaluation asks it; languages are those of a translation, or empty.

    Attributes:
        answer_language: that an answer should be in, where that is known and it is no translation.
    """

    instruction: str
    text: str
    reference: str
    source_language: str = ""
    target_language: str = ""
    answer_language: str = ""

    def failures(self, answer: CandidateAnswer) -> tuple[str, ...]:
        """Return what is wrong with an answer, by the rules of evaluation."""
        languages = (self.source_language, self.target_language, self.answer_language)
        asked = Expectation(self.text, self.reference, self.instruction, *languages)
        return failures(answer.text, asked, answer.finished)


def candidates_of(folders: Sequence[Path]) -> list[Candidate]:
    """Return the trained systems of some runs; labels name the run where there are several, and differ.

    Raises:
        BadInputError: when a folder holds no run, none of its systems is trained, or their prompt cannot be rendered.
    """
    found: list[Candidate] = []
    folders = [*dict.fromkeys(folders)]
    for folder in folders:
        run = RunFolder(folder)
        if not run.recipe.is_file():
            raise BadInputError(
                f"{folder} is not a run folder: it has no recipe.yaml. Give a folder made by `crosstune run`, as "
                f"runs/miniature"
            )
        recipe = yaml_file.load_recipe(run.recipe)
        trained = [name for name in recipe.systems if (run.system(name) / "system.json").is_file()]
        if not trained:
            raise BadInputError(f"no system of {folder} is trained yet: crosstune train {run.recipe}")
        before = f"{recipe.name}: " if len(folders) > 1 else ""
        found += [Candidate(before + (recipe.systems[name].label or name), recipe, run, name) for name in trained]
        # Before the page opens: a chat template that fails would be told there, to who cannot mend it.
        template_of(recipe)
    # Votes name systems by their labels: those of two that are called the same would count for either.
    times = Counter(one.label for one in found)
    return [one if times[one.label] == 1 else replace(one, label=f"{one.run.root}: {one.system}") for one in found]


def questions_of(candidate: Candidate) -> dict[str, list[Question]]:
    """Return the questions of a run's evaluation sets that are answered in words, by what they ask."""
    recipe, found = candidate.recipe, dict[str, list[Question]]()
    several = sum(task.spec.judge == "translation" for task in recipe.evaluate.tasks.values()) > 1
    for label, task in recipe.evaluate.tasks.items():
        path = candidate.run.evaluation_set(label) / "items.jsonl"
        items = read_jsonl(path) if path.is_file() else []
        spec = task.spec
        if spec.judge == "keywords":
            found[_not_yet(spec.title, label, found)] = [
                Question(
                    spec.instruction,
                    item[spec.asked],
                    spec.keywords[item["label"]],
                    answer_language=spec.language or "",
                )
                for item in items
            ]
        elif spec.judge == "language":
            code = task.language or ""
            name = _not_yet(f"{spec.title}, {language_name(code, 'en')}", label, found)
            found[name] = [Question(item["question"], "", "", answer_language=code) for item in items]
        elif spec.judge == "translation":
            for direction in task.directions:
                for asked in task.instruction_languages:
                    name = _cell_name(direction, asked) + (f" ({label})" if several else "")
                    found[name] = list(_translations(candidate.template, items, direction, asked))
    return {name: questions for name, questions in found.items() if questions}


def _not_yet(name: str, label: str, taken: Container[str]) -> str:
    """Return a name, with the task's label where another task is called alike: neither may hide the other."""
    return f"{name} ({label})" if name in taken else name


def _cell_name(direction: str, asked: str) -> str:
    source, target = split_direction(direction)
    return f"{source.capitalize()} → {target.capitalize()}, {language_name(asked, 'en')} instruction"


def _translations(
    template: Template, items: Sequence[dict[str, str]], direction: str, asked: str
) -> Iterator[Question]:
    source, target = split_direction(direction)
    instruction = template.translation_instructions(direction, asked, "paper")[0]
    for item in items:
        yield Question(instruction, item[source], item[target], source, target)


class ModelPool:
    """Candidates whose models are loaded when they are first asked, and some of them kept."""

    def __init__(self, candidates: Sequence[Candidate], models_in_memory: int) -> None:
        self.candidates = candidates
        self._limit = models_in_memory
        self._one_at_a_time = threading.Lock()
        self.loaded: OrderedDict[int, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = OrderedDict()

    def stream(
        self, place: int, asked: tuple[str, str], decoding: Decoding, earlier: Sequence[Turn] = ()
    ) -> Iterator[CandidateAnswer]:
        """Yield one candidate's answer to an instruction and its input, longer each time, asked as in its evaluation.

        Greedy decoding gives the evaluation's answer. ``earlier`` is what was said before the question.
        """
        try:
            model, tokenizer = self.load(place)
            template = self.candidates[place].template
            question = template.prompt(clean(asked[0]), clean(asked[1]), [turn.cleaned() for turn in earlier])
        # A system that was damaged, or whose template refuses these turns, says so in its own box; the others answer.
        except CrosstuneError as error:
            yield CandidateAnswer(f"(not asked: {error})", 0, False, was_asked=False)
            return
        prompt = encode_prompt(tokenizer, question, with_controls=bool(template.controls))
        room = max_positions(model) - len(prompt)
        if room <= 0:
            yield CandidateAnswer(
                f"(not asked: the question has {len(prompt)} tokens, and this model knows {max_positions(model)} "
                "positions, question and answer together)",
                0,
                False,
                was_asked=False,
            )
            return
        within = replace(decoding, max_new_tokens=min(decoding.max_new_tokens, room))
        written, ending = "", Ending()
        for part in stream((model, tokenizer), prompt, within, self._one_at_a_time, ending):
            written += part
            yield CandidateAnswer(template.output(written).strip(), ending.num_tokens, ending.finished)
        yield CandidateAnswer(template.output(written).strip(), ending.num_tokens, ending.finished)

    def load(self, place: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Return the model and tokenizer of a candidate; the one that was asked longest ago makes room."""
        if place not in self.loaded:
            while len(self.loaded) >= self._limit:
                self.loaded.popitem(last=False)
            candidate = self.candidates[place]
            system = find_system(candidate.run, candidate.system)
            self.loaded[place] = load_system(system, candidate.recipe.evaluate.precision)
        self.loaded.move_to_end(place)
        return self.loaded[place]
