"""Who translates an instruction set: a trained model here, or a model behind an OpenAI-compatible endpoint."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crosstune.judge.endpoint import Endpoint
from crosstune.languages.registry import language_name, split_direction
from crosstune.precision import Precision
from crosstune.runs.hashes import hash_model
from crosstune.runs.provenance import public_path
from crosstune.serve.assistant import Assistant, instructions_of
from crosstune.serve.decoding import Decoding
from crosstune.serve.translate import TranslationRequest, translate_lines

QUESTION = """\
Translate the text below from {source} to {target}. Keep its lines, lists, code and placeholders as they are. Reply \
with the translation only.

{text}"""


@dataclass(frozen=True)
class Translation:
    """A translated text, and whether it ended by itself."""

    text: str
    finished: bool = True


class Translator(Protocol):
    """What translates texts of several lines."""

    @property
    def facts(self) -> dict[str, Any]:
        """Who it is, for manifest and card: all that decides what it writes."""

    def translate(self, texts: Sequence[str], direction: str) -> list[Translation]:
        """Return each text's translation."""


class ModelTranslator:
    """A model that was trained to translate, asked as it was trained, line by line: it learnt sentences."""

    def __init__(
        self,
        model: str,
        prompt: str | None,
        instruction_language: str,
        max_new_tokens: int,
        languages: tuple[str, str],
        precision: Precision | None = None,
    ) -> None:
        """Load the model, if it can be asked for both directions.

        Raises:
            BadInputError: when it cannot be loaded or asked.
        """
        for source, target in (languages, languages[::-1]):
            request = TranslationRequest(f"{source}-{target}", instruction_language, Decoding(max_new_tokens))
            request.instruction(instructions_of(model))
        self._assistant = Assistant(model, prompt, precision=precision)
        self._instruction_language, self._decoding = instruction_language, Decoding(max_new_tokens)
        self._facts = {
            "model": public_path(model),
            "content": hash_model(Path(model)) if Path(model).exists() else "",
            "prompt": prompt or "the model's chat template",
            "instruction_language": instruction_language,
            "max_new_tokens": max_new_tokens,
            "precision": self._assistant.precision,
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Who it is, for manifest and card."""
        return self._facts

    def translate(self, texts: Sequence[str], direction: str) -> list[Translation]:
        """Return each text's translation, with its lines where they were."""
        request = TranslationRequest(direction, self._instruction_language, self._decoding)
        lines = [(place, line) for place, text in enumerate(texts) for line in text.split("\n")]
        found = translate_lines(self._assistant, request, [line for _, line in lines])
        parts: list[list[tuple[str, bool]]] = [[] for _ in texts]
        for (place, _), translated in zip(lines, found, strict=True):
            parts[place].append(translated)
        return [Translation("\n".join(text for text, _ in part), all(done for _, done in part)) for part in parts]


class EndpointTranslator:
    """A model behind an endpoint, asked for each text as a whole, several at a time."""

    def __init__(self, endpoint: Endpoint, num_parallel: int) -> None:
        """Find the client.

        Raises:
            BadInputError: without openai's library, and for an address that is none.
        """
        self._endpoint, self._num_parallel, self._client = endpoint, num_parallel, endpoint.client()

    @property
    def facts(self) -> dict[str, Any]:
        """Who it is, for manifest and card."""
        asked = {"temperature": 0, "max_new_tokens": self._endpoint.max_new_tokens, "question": QUESTION}
        return {"url": self._endpoint.url, "model": self._endpoint.model, **asked}

    def translate(self, texts: Sequence[str], direction: str) -> list[Translation]:
        """Return each text's translation.

        Raises:
            BadInputError: when the endpoint refuses or cannot be reached.
        """
        source, target = (language_name(code, "en") for code in split_direction(direction))
        questions = [QUESTION.format(source=source, target=target, text=text) for text in texts]
        with ThreadPoolExecutor(self._num_parallel) as pool:
            replies = list(pool.map(lambda question: self._endpoint.reply(self._client, question), questions))
        return [Translation(reply.answer.strip(), reply.finished) for reply in replies]
