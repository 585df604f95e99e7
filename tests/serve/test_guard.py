"""What stands before a server, whatever stands behind it."""

import asyncio
import importlib
from pathlib import Path

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient

from crosstune.serve.guard import Guard, Message, Receive, Scope, Send
from crosstune.serve.server import vllm_command


async def server(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200, and 400 where the body cannot be read, as FastAPI does."""
    status, more = 200, True
    try:
        while more:
            more = (await receive()).get("more_body", False)
    except Exception:
        status = 400
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def asked(path: str, *parts: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> list[int]:
    """Return the statuses of what is answered to a request of this machine."""
    sent: list[Message] = []
    bodies = [*parts] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": bodies.pop(0), "more_body": bool(bodies)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", b"localhost:1"), *headers]}
    asyncio.run(Guard(server, routes=("/", "/v1"), max_body_bytes=100)(scope, receive, send))
    assert [one["type"] for one in sent] == ["http.response.start", "http.response.body"]
    return [one["status"] for one in sent if "status" in one]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/models"])
def test_what_is_named_is_open_and_what_lies_below_it(path: str) -> None:
    assert asked(path) == [200]


@pytest.mark.parametrize(
    "path", ["", "//", "//v1", "/v1=/etc/passwd", "/v1x", "/v1/../etc", "/v1/./x", "/x/../v1", "/V1"]
)
def test_nothing_else_is_open_not_even_by_a_step_up(path: str) -> None:
    assert asked(path) == [404]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (b"content-length", "²".encode("latin-1"), 413),
        (b"content-length", b"9" * 5000, 413),
        (b"content-length", b"-1", 413),
        (b"content-length", b"1e1", 413),
        (b"origin", b"http://[", 403),
        (b"origin", b"null", 403),
        (b"origin", b"\xff\xfe", 403),
        (b"origin", b"http://localhost:1", 200),
        (b"host", b"[::1", 421),
        (b"host", b"", 421),
        (b"host", b"localhost@evil.example", 421),
        (b"host", b"2130706433", 421),
    ],
)
def test_headers_that_are_none_are_refused_and_break_nothing(name: bytes, value: bytes, status: int) -> None:
    assert asked("/v1", headers=((name, value),)) == [status]


def test_a_body_that_grows_too_large_is_told_so_even_where_the_server_has_its_own_answer() -> None:
    assert asked("/v1", b"a" * 60, b"a" * 40) == [200]
    assert asked("/v1", b"a" * 60, b"a" * 41) == [413]


@pytest.mark.slow
def test_it_stands_before_a_server_that_loads_it_by_its_path_as_vllm_does(chat_folder: Path) -> None:
    fastapi = pytest.importorskip("fastapi")
    command = vllm_command(str(chat_folder), "127.0.0.1", 8123)
    app, asked_for = fastapi.FastAPI(), list[str]()

    def answer(content: dict[str, str]) -> dict[str, str]:
        asked_for.append(content["prompt"])
        return content

    app.post("/v1/completions")(answer)
    app.post("/collective_rpc")(answer)
    # As vLLM builds its app (vllm/entrypoints/openai/api_server.py): its own layers first, then what it was told of.
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    module, name = command[command.index("--middleware") + 1].rsplit(".", 1)
    app.add_middleware(getattr(importlib.import_module(module), name))

    client = TestClient(app, base_url="http://127.0.0.1:8123")
    assert client.post("/v1/completions", json={"prompt": "hi"}).json() == {"prompt": "hi"}
    foreign: list[tuple[str, dict[str, str], int]] = [
        ("/v1/completions", {"Host": "evil.example"}, 421),
        ("/v1/completions", {"Origin": "https://evil.example"}, 403),
        ("/collective_rpc", {}, 404),
        ("/docs", {}, 404),
        ("/v1/completions", {"Content-Length": "900000000"}, 413),
    ]
    for route, headers, status in foreign:
        assert client.post(route, json={"prompt": "no"}, headers=headers).status_code == status, (route, headers)
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/completions", headers=preflight).status_code == 403
    assert asked_for == ["hi"]
