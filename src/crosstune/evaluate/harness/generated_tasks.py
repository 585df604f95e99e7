"""Tasks whose answers are written: prompts, answers, and their scores.

Run by our own loop, not by the harness's generation tasks: those keep neither whether an answer ended by itself nor
what was written before an interruption, and cut answers at stop texts that hide a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.evaluate import ranks
from crosstune.evaluate.cells import Cell, cells_of
from crosstune.evaluate.comet import Comet
from crosstune.evaluate.free_answers import (
    AskedInstructions,
    fidelity_scores,
    follow_up_cell,
    instruction_cell,
    instruction_scores,
    is_right,
    question_cell,
    shown_reference,
)
from crosstune.evaluate.generate.generation import Limits, Write, generate
from crosstune.evaluate.generate.rows import Generated
from crosstune.evaluate.judging import VERSIONS
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import (
    Result,
    Scored,
    keyword_scores,
    mean_score,
    over_wordings,
    translation_scores,
)
from crosstune.models.finite import NotFiniteError, not_finite_message
from crosstune.models.stop_tokens import stop_tokens
from crosstune.prompts.controls import without_marks
from crosstune.prompts.templates import Template
from crosstune.recipe import Evaluate, EvaluationTask
from crosstune.runs.records import FIRST_TURN, OutputRow, Score
from crosstune.tasks.diagnostics import Expectation, failures
from crosstune.tasks.task import Item
from crosstune.terminal.bars import progress
from crosstune.terminal.output import note
from crosstune.tokens.encode import encode_prompts


@dataclass(frozen=True)
class Generator:
    """A model that answers, the template it is asked with, and the log of its answers.

    ``write`` is another engine that answers in the model's place.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    settings: Evaluate
    log: OutputLog
    comet: Comet | None = None
    write: Write | None = None

    def score(self, label: str, task: EvaluationTask, items: Sequence[Item]) -> Result:
        """Answer all cells of a task and score them."""
        if task.spec.judge == "rules":
            return self._score_instructions(label, task, items)
        rows: list[OutputRow] = []
        scores: list[Score] = []
        for name, cells in groupby(self._cells(label, task, items), lambda cell: cell.wordings_of):
            of_cells = []
            for cell in cells:
                answers = self._answer(cell)
                rows += answers
                of_cells.append(score_cell(cell, answers, self.template.name, self.settings, self.comet))
            scores += over_wordings(name, of_cells) if name else []
            scores += chain.from_iterable(of_cells)
        return Result(rows, scores)

    def _cells(self, label: str, task: EvaluationTask, items: Sequence[Item]) -> list[Cell]:
        if task.spec.judge == "language":
            return [question_cell(label, task, items, self.template)]
        return cells_of(label, task, items, self.template)

    def _score_instructions(self, label: str, task: EvaluationTask, items: Sequence[Item]) -> Result:
        """Ask instructions, and second requests behind the answers to the first; score the answers that count."""
        alone = [item for item in items if not item["follow_up"]]
        followed = [item for item in items if item["follow_up"]]
        cells, rows, others = list[Cell](), list[list[OutputRow]](), list[OutputRow]()
        if alone:
            cells.append(instruction_cell(label, task, alone, self.template))
            rows.append(self._answer(cells[-1]))
        if followed:
            first = instruction_cell(label + FIRST_TURN, task, followed, self.template)
            others = self._answer(first)
            cells.append(follow_up_cell(first, others, followed, self.template))
            rows.append(self._answer(cells[-1]))
        signature = f"rules:all|in_language:py3langid|v:{VERSIONS['rules']}|{self._signature(cells[0])}"
        scored = Scored(label, signature, self.settings.num_bootstrap, ())
        scores = instruction_scores(scored, AskedInstructions(tuple(cells), tuple(rows)))
        return Result([*chain.from_iterable(rows), *others], scores)

    def _signature(self, cell: Cell) -> str:
        return signature_of(cell, self.template.name, self.settings)

    def _answer(self, cell: Cell) -> list[OutputRow]:
        """Return a row per item; those that the log already has are judged again, and not generated."""
        known = {item: OutputRow.of_row(row) for item, row in self.log.rows_of(cell.name).items()}
        done = {
            item: judged(cell, index, known[item].output, known[item].finished is not False)
            for index, item in enumerate(cell.ids)
            if item in known
        }
        todo = [index for index, item_id in enumerate(cell.ids) if item_id not in done]
        if not todo:
            return [done[item_id] for item_id in cell.ids]
        prompts = [cell.prompts[index] for index in todo]
        encoded = encode_prompts(self.tokenizer, prompts, with_controls=bool(self.template.controls))
        limits = Limits(
            cell.max_new_tokens, max_positions(self.model), self.settings.max_batch_rows, self.settings.batch_tokens
        )
        too_long = sum(len(prompt) >= limits.max_positions for prompt in encoded)
        if too_long:
            note(
                f"{cell.name}: {too_long} prompts fill the whole context of {limits.max_positions} tokens and get no "
                f"answer"
            )
        with progress(cell.name, len(cell.ids)) as advance:
            advance(len(done))
            mine, written = ranks.share([len(prompt) for prompt in encoded]), {}
            asked = [encoded[place] for place in mine]
            write = self.write or partial(generate, self.model)
            try:
                for index, generated in write(asked, stop_tokens(self.model, self.tokenizer), limits):
                    row = self._row(cell, todo[mine[index]], generated)
                    self.log.append(row.row())
                    written[mine[index]] = row
                    advance(1)
            except NotFiniteError as error:
                item, name = cell.ids[todo[mine[error.index]]], str(self.model.name_or_path)
                raise BadInputError(not_finite_message(name, cell.name, item)) from None
        done |= {row.id: row for row in ranks.gather(written).values()}
        return [done[item_id] for item_id in cell.ids]

    def _row(self, cell: Cell, index: int, generated: Generated) -> OutputRow:
        # Cleaning up spaces would change what the model wrote (" ." becomes ".").
        text = self.tokenizer.decode(
            list(generated.tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return judged(cell, index, self.template.output(str(text)), generated.finished)


def judged(cell: Cell, index: int, output: str, finished: bool) -> OutputRow:
    """Return the row of an answer, with whether it is right and what is wrong with it."""
    references, earlier = cell.references[index], cell.earlier[index] if cell.earlier else ""
    asked = Expectation(
        "\n".join(filter(None, (cell.sources[index], earlier))),
        references[0],
        cell.instruction,
        cell.source_language,
        cell.target_language,
        cell.answer_languages[index],
    )
    return OutputRow(
        task=cell.name,
        id=cell.ids[index],
        prompt=without_marks(cell.prompts[index]),
        output=output,
        reference=shown_reference(cell, index),
        correct=is_right(cell, index, output),
        references=tuple(references) if len(references) > 1 else None,
        wordings_of=cell.wordings_of or None,
        finished=finished,
        failures=tuple(failures(output, asked, finished)),
    )


def max_positions(model: PreTrainedModel) -> int:
    """Return how many tokens the model can hold, prompt and answer together."""
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or 2**31)


def signature_of(cell: Cell, prompt: str, settings: Evaluate) -> str:
    """Return how a cell's answers came about; ``prompt`` names the template."""
    engine = "" if settings.engine == "transformers" else f"|engine:{settings.engine}"
    signature = f"prompt:{prompt}|decoding:greedy{engine}|max_new_tokens:{cell.max_new_tokens}"
    if cell.wordings_of:
        return f"wording:{cell.name.removeprefix(cell.wordings_of)[1:]}|{signature}"
    return signature


def score_cell(
    cell: Cell, rows: Sequence[OutputRow], prompt: str, settings: Evaluate, comet: Comet | None = None
) -> list[Score]:
    """Score a cell's rows; ``prompt`` names the template, for the signature."""
    num_bootstrap, signature = settings.num_bootstrap, signature_of(cell, prompt, settings)
    outputs = [row.output for row in rows]
    first = [references[0] for references in cell.references]
    items = tuple(repr(item) for item in zip(cell.ids, cell.sources, cell.references, strict=True))
    if cell.task.judge == "language":
        scored = Scored(cell.name, f"identified_by:py3langid|{signature}", num_bootstrap, items)
        return fidelity_scores(scored, cell, outputs)
    if cell.task.judge == "keywords":
        scored = Scored(cell.name, f"rule:names_exactly_one|{signature}", num_bootstrap, items)
        keywords = cell.task.keywords
        return keyword_scores(scored, outputs, [keywords.index(keyword) for keyword in first], keywords)
    scored = Scored(cell.name, signature, num_bootstrap, items)
    scores = translation_scores(scored, outputs, cell.references, cell.target_language)
    if comet:
        with_comet = replace(scored, signature=f"{comet.signature}|{signature}")
        scores.append(mean_score(with_comet, "comet", comet.scores(cell.sources, outputs, first)))
    return scores
