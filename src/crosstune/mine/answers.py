"""What a system answers to training prompts, greedily, as in evaluation; answers are kept as they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.harness.generated_tasks import max_positions
from crosstune.evaluate.outputs import OutputLog
from crosstune.mine.questions import TrainingPrompt
from crosstune.models.finite import NotFiniteError, not_finite_message
from crosstune.models.stop_tokens import stop_tokens
from crosstune.prompts.templates import Template
from crosstune.recipe import Evaluate
from crosstune.terminal.bars import progress
from crosstune.tokens.encode import encode_prompts


@dataclass(frozen=True)
class SystemAnswer:
    """What a system wrote.

    Attributes:
        text: the whole of it, as the model continued the prompt.
        finished: whether it ended by itself.
    """

    text: str
    finished: bool


def answers_to(
    questions: Sequence[TrainingPrompt],
    loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    template: Template,
    settings: Evaluate,
    max_new_tokens: int,
    log: OutputLog,
) -> list[SystemAnswer]:
    """Return a system's answers; those that the log of an interrupted run has are not written again."""
    model, tokenizer = loaded
    done = log.rows_of("mine")
    todo = [question for question in questions if str(question.number) not in done]
    prompts = [question.example.prompt for question in todo]
    encoded = encode_prompts(tokenizer, prompts, with_controls=bool(template.controls))
    limits = Limits(max_new_tokens, max_positions(model), settings.max_batch_rows, settings.batch_tokens)
    with progress("answers to training prompts", len(questions)) as advance:
        advance(len(questions) - len(todo))
        try:
            for index, generated in generate(model, encoded, stop_tokens(model, tokenizer), limits):
                text = tokenizer.decode(
                    list(generated.tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
                )
                row: dict[str, Any] = {"task": "mine", "id": str(todo[index].number)}
                row |= {"text": str(text), "finished": generated.finished}
                log.append(row)
                done[row["id"]] = row
                advance(1)
        except NotFiniteError as error:
            item, name = todo[error.index].example.origin, str(model.name_or_path)
            raise BadInputError(not_finite_message(name, "mine", item)) from None
    found = [done[str(question.number)] for question in questions]
    return [SystemAnswer(row["text"], row["finished"]) for row in found]
