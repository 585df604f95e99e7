"""A model behind an OpenAI-compatible endpoint, asked one question at a time: a judge, or a translator."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crosstune.errors import BadInputError

KEY = "OPENAI_API_KEY"
_MAX_RETRIES = 4  # with waits that double, or as long as the endpoint asks for: of 429, 5xx and broken connections
_SECONDS = 120.0
# What models that reason write before their answer, unless their server takes it out; some templates write the opening.
_REASONING_START, _REASONING_END = "<think>", "</think>"


@dataclass(frozen=True)
class Reply:
    """What a model replied, with its reasoning, and whether it ended by itself."""

    text: str
    finished: bool

    @property
    def answer(self) -> str:
        """The reply without reasoning; nothing where the model never came to an answer."""
        _, end, answer = self.text.rpartition(_REASONING_END)
        return "" if not end and answer.lstrip().startswith(_REASONING_START) else answer


@dataclass(frozen=True)
class Endpoint:
    """Where the model is asked.

    Attributes:
        url: up to and with ``/v1``.
        model: by the name the endpoint knows it by.
        max_new_tokens: the limit of a reply, reasoning included.
    """

    url: str
    model: str
    max_new_tokens: int = 1024

    def client(self) -> Any:
        """Return the client of openai's library; the key comes from the environment and is kept nowhere.

        Raises:
            BadInputError: without the library, and for an address that is none.
        """
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise BadInputError(f"--url {self.url}: not an address. Allowed: as http://127.0.0.1:8000/v1")
        try:
            import openai
        except ImportError:
            raise BadInputError("an endpoint is asked with openai's library: pip install 'crosstune[judge]'") from None
        key = os.environ.get(KEY, "none")
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=_MAX_RETRIES, timeout=_SECONDS)

    def reply(self, client: Any, question: str) -> Reply:
        """Return the reply to a question, as likely as the endpoint can make it.

        Raises:
            BadInputError: when the endpoint refuses, cannot be reached, or replies with nothing.
        """
        import openai

        asked = {"model": self.model, "messages": [{"role": "user", "content": question}], "temperature": 0}
        try:
            try:
                reply = client.chat.completions.create(**asked, max_tokens=self.max_new_tokens)
            except openai.BadRequestError as error:
                # OpenAI's models that reason know the limit by its newer name only, other servers by the older one.
                if error.param != "max_tokens":
                    raise
                reply = client.chat.completions.create(**asked, max_completion_tokens=self.max_new_tokens)
        except openai.AuthenticationError as error:
            raise BadInputError(f"{self.url} refuses the key of {KEY}: {error}") from None
        except openai.APIConnectionError as error:
            why = error.__cause__ or error
            raise BadInputError(
                f"{self.url} cannot be reached ({why}). Is it running, and does it end in /v1?"
            ) from None
        except openai.APIStatusError as error:
            raise BadInputError(
                f"{self.url} refuses to be asked for model {self.model!r} (status {error.status_code}): "
                f"{error.message}. What was replied so far is kept: the same command goes on"
            ) from None
        # What a proxy sends when the model behind it failed: kept as a reply, it would never be asked for again.
        if not reply.choices:
            said = getattr(reply, "error", None) or "no error is named"
            raise BadInputError(
                f"{self.url} replied without a choice ({said}). What was replied so far is kept: the same command "
                "goes on"
            )
        first = reply.choices[0]
        return Reply(str(first.message.content or ""), first.finish_reason != "length")
