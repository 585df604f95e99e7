"""A model behind an OpenAI-compatible endpoint, asked one question at a time: a judge, or a translator."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crosstune.errors import BadInputError

KEY = "OPENAI_API_KEY"
_MAX_RETRIES = 4  # with waits that double, or as long as the endpoint asks for: of 429, 5xx and broken connections
_SECONDS = 120.0
_MAX_REPLY_TOKENS = 1024


@dataclass(frozen=True)
class Reply:
    """What a model replied, and whether it ended by itself."""

    text: str
    finished: bool


@dataclass(frozen=True)
class Endpoint:
    """Where the model is asked.

    Attributes:
        url: up to and with ``/v1``.
        model: by the name the endpoint knows it by.
    """

    url: str
    model: str

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

    def ask(self, client: Any, question: str) -> str:
        """Return the text of the reply to a question, as `reply` does."""
        return self.reply(client, question).text

    def reply(self, client: Any, question: str) -> Reply:
        """Return the reply to a question, as likely as the endpoint can make it.

        Raises:
            BadInputError: when the endpoint refuses, cannot be reached, or replies with nothing.
        """
        import openai

        asked: list[Any] = [{"role": "user", "content": question}]
        try:
            reply = client.chat.completions.create(
                model=self.model, messages=asked, temperature=0, max_tokens=_MAX_REPLY_TOKENS
            )
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
        if not reply.choices:
            return Reply("", finished=True)
        first = reply.choices[0]
        return Reply(str(first.message.content or ""), first.finish_reason != "length")
