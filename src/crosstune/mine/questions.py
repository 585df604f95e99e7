"""The training prompts that a system is asked, and what its answers are judged by."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops
from crosstune.prompts.examples import SCHEMA, Example
from crosstune.prompts.templates import Template, question_of
from crosstune.recipe import Recipe
from crosstune.runs.folder import RunFolder
from crosstune.tasks.diagnostics import Expectation

OVERLAP = "overlap with an evaluation set"


@dataclass(frozen=True)
class TrainingPrompt:
    """A training prompt.

    Attributes:
        number: of its example in the mixture.
        asked: what an answer is judged by; its reference is what the mixture teaches.
    """

    number: int
    example: Example
    asked: Expectation

    @property
    def row(self) -> tuple[str, str, str]:
        """Return what the same row has in all wordings, in one direction: source, place, language of the answer."""
        return self.example.source, self.example.origin, self.example.language


def questions_of(
    recipe: Recipe, run: RunFolder, name: str, template: Template, known: EvaluationTexts, drops: Drops
) -> list[TrainingPrompt]:
    """Return the prompts that pairs are mined from, in the mixture's order; ``drops`` gets those that must not be."""
    settings = recipe.mine[name]
    table = pq.read_table(run.mixture(settings.mixture) / "examples.parquet", schema=SCHEMA)
    found = []
    for number in _drawn(table, settings.max_prompts, f"{recipe.seed} mine {settings.mixture}"):
        example = Example(*(table[column][number].as_py() for column in SCHEMA.names))
        asked = asked_of(recipe, example, template)
        if asked is None:
            drops.add("prompt of several turns", example.source, example.origin, {"prompt": example.prompt})
        else:
            found.append(TrainingPrompt(number, example, asked))
    return without_overlap(found, [_texts(question) for question in found], known, drops)


def without_overlap(
    questions: Sequence[TrainingPrompt], texts: Sequence[Mapping[str, str]], known: EvaluationTexts, drops: Drops
) -> list[TrainingPrompt]:
    """Return the questions whose texts share nothing with an evaluation set."""
    kept = []
    for question, row, match in zip(questions, texts, known.find(texts), strict=True):
        if match is None:
            kept.append(question)
        else:
            example = question.example
            drops.add(OVERLAP, example.source, example.origin, dict(row), evaluation_set=match.evaluation_set)
    return kept


def numbers_of_prompts(table: pa.Table) -> list[int]:
    """Return the numbers of a mixture's examples that have a prompt."""
    return pc.indices_nonzero(pc.not_equal(table["prompt"], "")).to_pylist()  # type: ignore[no-any-return]


def _drawn(table: pa.Table, max_prompts: int | None, seed: str) -> list[int]:
    """Return the numbers of examples with a prompt, of rows drawn one after the other with all their wordings."""
    asked = numbers_of_prompts(table)
    if max_prompts is None or len(asked) <= max_prompts:
        return asked
    rows: dict[tuple[str, str], list[int]] = {}
    sources, origins = (table[column].take(asked).to_pylist() for column in ("source", "origin"))
    for number, source, origin in zip(asked, sources, origins, strict=True):
        rows.setdefault((source, origin), []).append(number)
    order = sorted(rows)
    random.Random(seed).shuffle(order)
    return sorted([number for row in order for number in rows[row]][:max_prompts])


def asked_of(recipe: Recipe, example: Example, template: Template) -> Expectation | None:
    """Return what an answer to an example's prompt is judged by; None of a prompt of several turns."""
    question = question_of(template, example.prompt)
    if question is None:
        return None
    instruction, text = question
    reference = template.output(example.completion)
    corpus = recipe.data.sources[example.source]
    if corpus.kind != "parallel":
        return Expectation(text, reference, instruction, answer_language=example.language)
    (given,) = {*recipe.languages_of(corpus).codes} - {example.language}
    return Expectation(text, reference, instruction, given, example.language, example.language)


def _texts(question: TrainingPrompt) -> dict[str, str]:
    asked = question.asked
    return {"instruction": asked.instruction, "input": asked.source, "output": asked.reference}
