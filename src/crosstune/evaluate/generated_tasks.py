"""NSMC and translation: prompts, answers, and their scores.

Run by our own loop, not by the harness's generation tasks: those keep neither whether an answer ended by itself nor
what was written before an interruption, and cut answers at stop texts that hide a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.encoding import encode_prompts
from crosstune.evaluate.generation import Generated, Limits, generate
from crosstune.evaluate.items import Item
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import (
    KEYWORDS,
    Result,
    Score,
    Scored,
    keyword_label,
    nsmc_scores,
    translation_scores,
)
from crosstune.prompts import NSMC_INSTRUCTION, Template
from crosstune.recipe import Evaluate, EvaluationTask
from crosstune.terminal import note, progress

Row = dict[str, Any]
GENERATED = ("nsmc_generate", "translation")


@dataclass(frozen=True)
class Cell:
    """One task of generation: what is asked, what would be right.

    Attributes:
        name: the task's name in the scores; for translation ``LABEL_source_target_instructionlanguage``.
        references: a translation, or NSMC's keyword.
        target_language: of a translation; empty for NSMC.
    """

    name: str
    ids: list[str]
    prompts: list[str]
    references: list[str]
    target_language: str
    max_new_tokens: int


def cells_of(label: str, task: EvaluationTask, items: Sequence[Item], template: Template) -> list[Cell]:
    """Return a task's cells: one for NSMC, direction times instruction language for translation."""
    ids = [item["id"] for item in items]
    if task.task == "nsmc_generate":
        prompts = [template.prompt(NSMC_INSTRUCTION, item["document"]) for item in items]
        references = [KEYWORDS[item["label"]] for item in items]
        return [Cell(label, ids, prompts, references, "", task.max_new_tokens)]
    cells = []
    for direction in task.directions:
        source, target = direction.split("-")
        for language in task.instruction_languages:
            instruction = template.translation_instructions(direction, language, "paper")[0]
            prompts = [template.prompt(instruction, item[source]) for item in items]
            references = [item[target] for item in items]
            name = f"{label}_{source}_{target}_{language}"
            cells.append(Cell(name, ids, prompts, references, target, task.max_new_tokens))
    return cells


@dataclass(frozen=True)
class Generator:
    """A model that answers, the template it is asked with, and the log of its answers."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    settings: Evaluate
    log: OutputLog

    def score(self, label: str, task: EvaluationTask, items: Sequence[Item]) -> Result:
        """Answer all cells of a task and score them."""
        rows: list[Row] = []
        scores: list[Score] = []
        for cell in cells_of(label, task, items, self.template):
            answers = self._answer(cell)
            rows += answers
            scores += score_cell(cell, answers, self.template.name, self.settings.num_bootstrap)
        return Result(rows, scores)

    def _answer(self, cell: Cell) -> list[Row]:
        """Return a row per item; those that the log already has are not generated again."""
        done = self.log.rows_of(cell.name)
        todo = [index for index, item_id in enumerate(cell.ids) if item_id not in done]
        encoded = encode_prompts(self.tokenizer, [cell.prompts[index] for index in todo])
        limits = Limits(
            cell.max_new_tokens, max_positions(self.model), self.settings.max_batch_rows, self.settings.batch_tokens
        )
        too_long = sum(len(prompt) >= limits.max_positions for prompt in encoded)
        if too_long:
            note(f"{cell.name}: {too_long} prompts fill all {limits.max_positions} positions and stay unanswered")
        with progress(cell.name, len(cell.ids)) as advance:
            advance(len(done))
            for place, generated in generate(self.model, encoded, int(self.tokenizer.eos_token_id), limits):
                row = self._row(cell, todo[place], generated)
                self.log.append(row)
                done[row["id"]] = row
                advance(1)
        return [done[item_id] for item_id in cell.ids]

    def _row(self, cell: Cell, index: int, generated: Generated) -> Row:
        # Cleaning up spaces would change what the model wrote (" ." becomes ".").
        text = self.tokenizer.decode(
            list(generated.tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        output = self.template.output(str(text))
        answer = keyword_label(output)
        return {
            "task": cell.name,
            "id": cell.ids[index],
            "prompt": cell.prompts[index],
            "output": output,
            "reference": cell.references[index],
            "correct": None
            if cell.target_language
            else answer is not None and KEYWORDS[answer] == cell.references[index],
            "finished": generated.finished,
        }


def max_positions(model: PreTrainedModel) -> int:
    """Return how many tokens the model can hold, prompt and answer together."""
    config = model.config.get_text_config(decoder=True)
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window")]
    return min((limit for limit in limits if limit), default=2**31)


def score_cell(cell: Cell, rows: Sequence[Row], prompt: str, num_bootstrap: int) -> list[Score]:
    """Score a cell's rows; ``prompt`` names the template, for the signature."""
    signature = f"prompt:{prompt}|decoding:greedy|max_new_tokens:{cell.max_new_tokens}"
    outputs = [row["output"] for row in rows]
    if not cell.target_language:
        labels = [KEYWORDS.index(reference) for reference in cell.references]
        return nsmc_scores(Scored(cell.name, f"rule:names_exactly_one|{signature}", num_bootstrap), outputs, labels)
    return translation_scores(
        Scored(cell.name, signature, num_bootstrap), outputs, cell.references, cell.target_language
    )
