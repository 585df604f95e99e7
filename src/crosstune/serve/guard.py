"""What stands before a server on this machine: who may ask, by which name, for what, and how much at once."""

import ipaddress
import json
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 8 * 2**20
# Of the OpenAI protocol and of whoever watches a server.
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/health")
_NUMBER = re.compile("[0-9]{1,18}")


class Guard:
    """ASGI middleware that refuses a request before the server sees it.

    A web page can make its own name point to this machine (DNS rebinding) and then ask whatever listens here. So a
    request has to name this machine: by an address, as ``localhost``, or by its host name. A page of another origin is
    refused, too. vLLM loads this class by its path, as `crosstune serve` asks it to.
    """

    def __init__(self, app: App, routes: tuple[str, ...] = ROUTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """Let through ``routes`` and what lies below them (below "/", nothing does)."""
        self._app, self._routes, self._limit = app, routes, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may not pass; hand on the others, their bodies counted."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif refusal is not None:
            await _answer(send, *refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._counted(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_this_machine(host):
            return 421, f"this server answers to this machine's addresses and names, not to {host[:100]!r}"
        if origin is not None and _place_of(origin) != host:
            return 403, f"a page of {origin[:100]!r} may not ask this server"
        path = str(scope["path"])
        if not _is_below(path, self._routes):
            return 404, f"there is nothing at {path[:100]!r}; served are {', '.join(self._routes)}"
        length = headers.get("content-length", "0")
        # Longer numbers are beyond any limit, and "²" is a digit to Python alone.
        if not _NUMBER.fullmatch(length) or int(length) > self._limit:
            return 413, self._too_large
        return None

    @property
    def _too_large(self) -> str:
        return f"a request may have {self._limit:,} bytes; this one is larger"

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request, and break it off where its body grows beyond the limit without having said so.

        A server that makes an answer of its own of the break (FastAPI says 400) is not let speak.
        """
        received, begun = 0, False

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _TooLargeError
            return message

        async def send_noted(message: Message) -> None:
            nonlocal begun
            if begun or received <= self._limit:
                begun = True
                await send(message)

        with suppress(_TooLargeError):
            await self._app(scope, receive_counted, send_noted)
        if received > self._limit and not begun:
            await _answer(send, 413, self._too_large)


class _TooLargeError(Exception):
    pass


def is_this_machine(host: str) -> bool:
    """Return whether a Host header is an address, or a name of this machine: none that somebody else can point here."""
    if any(sign in host for sign in "@/\\ \t"):
        return False
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in {socket.gethostname().lower(), socket.getfqdn().lower()}
    return True


def _place_of(origin: str) -> str:
    """Return the host and port that an origin names; nothing where it is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_below(path: str, routes: tuple[str, ...]) -> bool:
    parts = path.split("/")
    # A step up could lead out of what is open, by whoever reads the path next.
    return not {"..", "."} & {*parts} and any(
        path == route or (route != "/" and path.startswith(f"{route}/")) for route in routes
    )


def error_body(message: str, code: str | None = None) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps(error_body(message)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # The rest of a body that is not read would be taken for the next request.
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
