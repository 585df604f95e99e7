"""A model as a person uses it: asked through its chat template, answering in text."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TextIteratorStreamer

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Generated, Limits, generate
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.prompts.templates import TEMPLATES
from crosstune.tokens.encode import encode_prompt

_BATCH_TOKENS = 8192
_BATCH_ROWS = 32


@dataclass(frozen=True)
class Decoding:
    """How answers are chosen.

    Attributes:
        max_new_tokens: where an answer is cut, the EOS included.
        temperature: 0 takes the likeliest token at each step; above, tokens are drawn, at 1 by the model's own odds.
        seed: of the draws.
    """

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


class Assistant:
    """A model and its tokenizer; questions are put as in training, by the tokenizer's chat template."""

    def __init__(self, path: str, prompt: str | None = None) -> None:
        """Load a model folder or hub id.

        Raises:
            BadInputError: when it cannot be loaded, or has no chat template and no ``prompt`` names one.
        """
        prepare_libraries()
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(path)
        if prompt is not None:
            self.tokenizer.chat_template = TEMPLATES[prompt].chat_template()
        if not isinstance(self.tokenizer.chat_template, str):
            raise BadInputError(
                f"{path} does not say how it wants to be asked: its tokenizer has no chat template. "
                f"Name the prompt that it was trained with: --prompt {'|'.join(TEMPLATES)}"
            )
        self.model: PreTrainedModel = load_model(path, dtype=torch.float32 if _on_cpu() else torch.bfloat16)
        if not _on_cpu():
            self.model.to("cuda")  # type: ignore[arg-type]

    @property
    def chat_template(self) -> str:
        """The template, in Jinja, by which questions are put."""
        return str(self.tokenizer.chat_template)

    def encode(self, instruction: str, text: str = "") -> list[int]:
        """Return the tokens that ask for an answer to an instruction and its input."""
        template = str(self.tokenizer.chat_template)
        message = {"role": "user", "content": instruction, "input": text}
        if text and "['input']" not in template:
            message = {"role": "user", "content": f"{instruction}\n{text}"}
        rendered = str(self.tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True))
        # The text goes through the encoding of training, which puts BOS itself.
        return encode_prompt(self.tokenizer, rendered.removeprefix(self.tokenizer.bos_token or ""))

    def answers(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[tuple[str, bool]]:
        """Return the greedy answer to each prompt, and whether it ended by itself."""
        found: dict[int, Generated] = dict(
            generate(self.model, prompts, int(self.tokenizer.eos_token_id), self._limits(decoding))
        )
        return [(self._text(found[index].tokens), found[index].finished) for index in range(len(prompts))]

    def stream(self, prompt: Sequence[int], decoding: Decoding) -> Iterator[str]:
        """Yield the answer in parts as it is written; closing the iterator stops the model.

        Raises:
            BadInputError: when the prompt fills all positions of the model.
        """
        room = self._limits(decoding).max_positions - len(prompt)
        if room <= 0:
            raise BadInputError(
                f"the question has {len(prompt)} tokens, but the model knows {len(prompt) + room} positions, "
                "question and answer together: shorten it"
            )
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        stop = threading.Event()
        drawn = {"do_sample": True, "temperature": decoding.temperature} if decoding.temperature else {}
        torch.manual_seed(decoding.seed)
        inputs = torch.tensor([list(prompt)], device=self.model.device)
        settings = {
            "input_ids": inputs,
            "attention_mask": torch.ones_like(inputs),
            "max_new_tokens": min(decoding.max_new_tokens, room),
            "pad_token_id": self.tokenizer.eos_token_id,
            "stopping_criteria": [lambda *_: torch.tensor([stop.is_set()], device=inputs.device)],
            "streamer": streamer,
            **({"do_sample": False} | drawn),
        }
        failures: list[Exception] = []

        def write() -> None:
            try:
                self.model.generate(**settings)  # type: ignore[operator]
            except Exception as error:
                # Raised in the reader's thread; without the end mark it would wait for ever.
                failures.append(error)
                streamer.end()  # type: ignore[no-untyped-call]

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield from streamer
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]

    def _limits(self, decoding: Decoding) -> Limits:
        positions = getattr(self.model.config, "max_position_embeddings", None) or 2**31
        return Limits(decoding.max_new_tokens, positions, _BATCH_ROWS, _BATCH_TOKENS)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()


def _on_cpu() -> bool:
    return not torch.cuda.is_available()
