"""A model as a person uses it: asked through its chat template, answering in text."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.generate.rows import Generated
from crosstune.models.chat_template import source_of, special_tokens
from crosstune.models.jinja_templates import frozen, has_system, refuse_failing, refuse_unread_options, render
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.models.stop_tokens import stop_tokens
from crosstune.precision import Precision
from crosstune.prompts.cleaning import clean
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe.data import TEMPLATE_DATE
from crosstune.runs.files import read_json
from crosstune.runs.folder import TRANSLATION_INSTRUCTIONS
from crosstune.serve.decoding import Decoding, Ending
from crosstune.serve.stream import stream
from crosstune.tokens.plain_text import encode_rendered

_BATCH_TOKENS = 8192
_BATCH_ROWS = 32


class Assistant:
    """A model and its tokenizer; questions are put as in training, by the tokenizer's chat template."""

    def __init__(
        self,
        path: str,
        prompt: str | None = None,
        options: Mapping[str, Any] | None = None,
        precision: Precision | None = None,
    ) -> None:
        """Load a model folder or hub id; ``options`` are what its chat template may be asked for.

        ``precision`` is of the weights: without one float32, and bf16 on a GPU.

        Raises:
            BadInputError: when it cannot be loaded, has no chat template and no ``prompt`` names one, or its template
                never asks for an option.
        """
        prepare_libraries()
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(path)
        if prompt is None and not self.tokenizer.chat_template:
            raise BadInputError(
                f"{path} has no chat template. Name the prompt it was trained with: --prompt {'|'.join(TEMPLATES)}"
            )
        jinja = source_of(self.tokenizer) if prompt is None else TEMPLATES[prompt].chat_template()
        # A foreign model's template may write a date: the same question gets the same answer tomorrow.
        refuse_unread_options(options or {}, jinja, path, "--template-option")
        self.chat_template = frozen(jinja, options or {}, TEMPLATE_DATE, path)
        self.tokenizer.chat_template = self.chat_template
        self._special_tokens = special_tokens(self.tokenizer)
        # Before the weights are read, and before anybody is told that the model can be asked.
        refuse_failing(self.chat_template, self._special_tokens, path)
        self._has_system = has_system(self.chat_template, self._special_tokens)
        self.instructions = instructions_of(path)
        self._one_at_a_time = threading.Lock()
        self.precision: Precision = precision or ("float32" if _on_cpu() else "bf16")
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        self.model: PreTrainedModel = load_model(path, dtype=dtype)
        if not _on_cpu():
            self.model.to("cuda")  # type: ignore[arg-type]

    @property
    def max_positions(self) -> int | None:
        """How many tokens the model knows, question and answer together; None where its configuration does not say."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def encode(self, instruction: str, text: str = "") -> list[int]:
        """Return the tokens that ask for an answer to an instruction and its input."""
        return self.encode_turns([Turn("user", "\n".join(part for part in (clean(instruction), clean(text)) if part))])

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """Return the tokens that ask for an answer to the last turn of a conversation.

        Texts are cleaned as training rows were, and no control token is read out of them.

        Raises:
            BadInputError: when there is no question, or the template refuses these turns.
        """
        cleaned = [turn.cleaned() for turn in turns]
        if not cleaned or cleaned[-1].role != "user" or not cleaned[-1].content:
            raise BadInputError("there is nothing to answer: the last message must be a user's and not empty")

        def rendered(texts: Sequence[str]) -> str:
            asked = [Turn(turn.role, text) for turn, text in zip(cleaned, texts, strict=True)]
            try:
                return render(self.chat_template, self._special_tokens, asked, self._has_system)
            # No path of this machine: clients of a server are told this.
            except BadInputError as error:
                raise BadInputError(f"the model's chat template refuses these messages: {error}") from None

        return encode_rendered(self.tokenizer, rendered, [turn.content for turn in cleaned])

    def answers(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[tuple[str, bool]]:
        """Return the greedy answer to each prompt, and whether it ended by itself."""
        found: dict[int, Generated] = dict(
            generate(self.model, prompts, stop_tokens(self.model, self.tokenizer), self._limits(decoding))
        )
        return [(self._text(found[index].tokens), found[index].finished) for index in range(len(prompts))]

    def stream(self, prompt: Sequence[int], decoding: Decoding, ending: Ending | None = None) -> Iterator[str]:
        """Yield the answer in parts as it is written; closing the iterator stops the model.

        Several may be asked for at a time: each waits for the model. ``ending`` is filled when the answer has ended.

        Raises:
            BadInputError: when the prompt fills all positions of the model.
        """
        within = replace(decoding, max_new_tokens=min(decoding.max_new_tokens, self.room_for(prompt)))
        return stream((self.model, self.tokenizer), prompt, within, self._one_at_a_time, ending)

    def room_for(self, prompt: Sequence[int]) -> int:
        """Return how many tokens an answer may have.

        Raises:
            BadInputError: when the prompt fills all positions of the model.
        """
        room = (self.max_positions or 2**31) - len(prompt)
        if room <= 0:
            raise BadInputError(
                f"the question has {len(prompt)} tokens, but the model's context is {self.max_positions} tokens for "
                f"question and answer together: shorten it"
            )
        return room

    def _limits(self, decoding: Decoding) -> Limits:
        return Limits(decoding.max_new_tokens, self.max_positions or 2**31, _BATCH_ROWS, _BATCH_TOKENS)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ).strip()


def instructions_of(path: str) -> dict[str, dict[str, str]]:
    """Return what a model folder says of how it was asked for translations, by direction and language."""
    file = Path(path) / TRANSLATION_INSTRUCTIONS
    return dict(read_json(file)) if file.is_file() else {}


def _on_cpu() -> bool:
    return not torch.cuda.is_available()
