"""The OpenAI protocol around an assistant: models, chat completions, completions; whole or as they are written."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from crosstune.errors import BadInputError
from crosstune.runs.files import KeyTwiceError, parse_json
from crosstune.serve.assistant import Assistant
from crosstune.serve.decoding import Ending
from crosstune.serve.guard import MAX_BODY_BYTES, Guard, error_body
from crosstune.serve.requests import Request, read_request
from crosstune.tokens.encode import encode_prompt

# A request that fits the context: 64 bytes a token are many, also where JSON spells out each Korean character.
_BYTES_OF_REQUEST, _BYTES_OF_TOKEN = 2**16, 64


def application(assistant: Assistant, name: str, path: str = "") -> Starlette:
    """Return the server of a model under a name; clients may also ask for it by the path that it was given by."""
    api = _Api(assistant, (name, path or name))
    positions = assistant.max_positions
    limit = MAX_BODY_BYTES
    if positions is not None:
        limit = min(limit, _BYTES_OF_REQUEST + _BYTES_OF_TOKEN * positions)
    return Starlette(
        routes=[
            Route("/health", api.health),
            Route("/v1/models", api.models),
            Route("/v1/models/{name:path}", api.model),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/completions", api.complete, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, max_body_bytes=limit)],
    )


class _Api:
    """The answers to each route."""

    def __init__(self, assistant: Assistant, names: tuple[str, str]) -> None:
        self._assistant, self._names, self._name = assistant, names, names[0]
        self._model = {"id": self._name, "object": "model", "created": int(time.time()), "owned_by": "crosstune"}

    async def health(self, _: HttpRequest) -> Response:
        """Tell that the server is there."""
        return JSONResponse({"status": "ok"})

    async def models(self, _: HttpRequest) -> Response:
        """List the one model."""
        return JSONResponse({"object": "list", "data": [self._model]})

    async def model(self, http: HttpRequest) -> Response:
        """Describe the one model."""
        if http.path_params["name"] not in self._names:
            return _error(404, self._unknown(http.path_params["name"]), "model_not_found")
        return JSONResponse(self._model)

    async def chat(self, http: HttpRequest) -> Response:
        """Answer a conversation."""
        return await self._answer(http, is_chat=True)

    async def complete(self, http: HttpRequest) -> Response:
        """Go on with a text."""
        return await self._answer(http, is_chat=False)

    async def _answer(self, http: HttpRequest, is_chat: bool) -> Response:
        # Another type needs no leave of the browser: any page could send it.
        if http.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(415, "a request is JSON: set the header Content-Type to application/json")
        try:
            content = parse_json((await http.body()).decode())
            if isinstance(content, dict) and content.get("model") not in (None, *self._names):
                return _error(404, self._unknown(content["model"]), "model_not_found")
            request = read_request(content, is_chat)
            prompt = await run_in_threadpool(self._encode, request)
            room = self._assistant.room_for(prompt)
        except BadInputError as error:
            return _error(400, str(error))
        except KeyTwiceError as error:
            return _error(400, str(error))
        except (ValueError, RecursionError) as error:
            return _error(400, f"the request is no JSON: {error}")
        ending = Ending()
        parts = self._assistant.stream(prompt, request.within(room), ending)
        parts = _cut_at_stops(_from_first_letter(parts) if is_chat else parts, request.stops, ending)
        answer = _Answer(self._name, is_chat, len(prompt), ending)
        if request.stream:
            return StreamingResponse(answer.events(parts, request.include_usage), media_type="text/event-stream")
        text = await run_in_threadpool("".join, parts)
        return JSONResponse(answer.whole(text))

    def _encode(self, request: Request) -> list[int]:
        if request.turns:
            return self._assistant.encode_turns(request.turns)
        prompt = encode_prompt(self._assistant.tokenizer, request.text)
        if not prompt:
            raise BadInputError("'prompt' is empty, and this tokenizer has no BOS: there is nothing to continue")
        return prompt

    def _unknown(self, name: Any) -> str:
        return f"there is no model {str(name)[:100]!r}; this server has {self._name!r}"


class _Answer:
    """An answer in the form of the protocol, whole or in parts."""

    def __init__(self, model: str, is_chat: bool, num_prompt: int, ending: Ending) -> None:
        self._is_chat, self._num_prompt, self._ending = is_chat, num_prompt, ending
        kind = "chat.completion" if is_chat else "text_completion"
        prefix = "chatcmpl" if is_chat else "cmpl"
        self._facts = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, text: str) -> dict[str, Any]:
        """Return a whole answer."""
        said = {"message": {"role": "assistant", "content": text.strip()}} if self._is_chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": self._ending.reason}
        return {**self._facts, "choices": [choice], "usage": self._usage()}

    async def events(self, parts: Iterator[str], include_usage: bool) -> AsyncIterator[str]:
        """Yield the parts of an answer as they are written, as server-sent events; a reader who goes away ends it."""
        facts = {**self._facts, "object": "chat.completion.chunk" if self._is_chat else "text_completion"}

        def event(choices: list[dict[str, Any]], **more: Any) -> str:
            return f"data: {json.dumps({**facts, 'choices': choices, **more}, ensure_ascii=False)}\n\n"

        def chunk(text: str, reason: str | None = None, first: bool = False) -> str:
            delta = {"role": "assistant"} if first else {}
            said = (
                {"delta": {**delta, **({"content": text} if text or first else {})}}
                if self._is_chat
                else {"text": text}
            )
            return event([{"index": 0, **said, "logprobs": None, "finish_reason": reason}])

        try:
            if self._is_chat:
                yield chunk("", first=True)
            async for part in iterate_in_threadpool(parts):
                if part:
                    yield chunk(part)
            yield chunk("", self._ending.reason)
            if include_usage:
                yield event([], usage=self._usage())
            yield "data: [DONE]\n\n"
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                await run_in_threadpool(close)

    def _usage(self) -> dict[str, int]:
        written = self._ending.num_tokens
        return {
            "prompt_tokens": self._num_prompt,
            "completion_tokens": written,
            "total_tokens": self._num_prompt + written,
        }


def _from_first_letter(parts: Iterator[str]) -> Iterator[str]:
    """Yield an answer: the completion begins with the template's newline, which is no part of it and no stop text."""
    has_begun = False
    try:
        for part in parts:
            text = part if has_begun else part.lstrip()
            has_begun = has_begun or bool(text)
            yield text
    finally:
        parts.close()  # type: ignore[attr-defined]


def _cut_at_stops(parts: Iterator[str], stops: tuple[str, ...], ending: Ending) -> Iterator[str]:
    """Yield a text up to the first of some stops; what may be the begin of one waits for what follows."""
    if not stops:
        yield from parts
        return
    longest, waiting = max(map(len, stops)), ""
    try:
        for part in parts:
            waiting += part
            places = [place for stop in stops if (place := waiting.find(stop)) >= 0]
            if places:
                ending.finished = True
                yield waiting[: min(places)]
                return
            ready = max(0, len(waiting) - longest + 1)
            if ready:
                yield waiting[:ready]
                waiting = waiting[ready:]
        yield waiting
    finally:
        parts.close()  # type: ignore[attr-defined]


def _error(status: int, message: str, code: str | None = None) -> Response:
    return JSONResponse(error_body(message, code), status_code=status)
