"""Our own server: what a client asks is answered as the model was trained, and its mistakes are told it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from crosstune.serve.assistant import Assistant
from crosstune.serve.decoding import Decoding

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
testclient = pytest.importorskip("starlette.testclient")

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Say hello"}


@pytest.fixture
def client(assistant: Assistant) -> Iterator[Any]:
    from crosstune.serve.api import application

    with testclient.TestClient(application(assistant, "ours"), base_url="http://127.0.0.1:8000") as found:
        yield found


def asked(client: Any, **request: Any) -> Any:
    return client.post(CHAT, json={"model": "ours", "messages": [USER], "max_tokens": 6, **request})


@pytest.mark.slow
def test_an_answer_is_the_assistant_s_own(client: Any, assistant: Assistant) -> None:
    reply = asked(client)
    expected, finished = assistant.answers([assistant.encode("Say hello")], Decoding(6))[0]
    choice = reply.json()["choices"][0]
    assert reply.status_code == 200 and choice["message"] == {"role": "assistant", "content": expected}
    assert choice["finish_reason"] == ("stop" if finished else "length")
    assert reply.json()["usage"]["completion_tokens"] <= 6


def test_a_stream_says_the_same(client: Any) -> None:
    events = [line.removeprefix("data: ") for line in asked(client, stream=True).text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(deltas).strip() == asked(client).json()["choices"][0]["message"]["content"]


def test_system_messages_earlier_turns_and_parts_are_answered(client: Any) -> None:
    talk = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "Hi."}, USER]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Say hello"}]}]
    assert asked(client, messages=talk).status_code == 200
    assert asked(client, messages=parts).json()["choices"] == asked(client).json()["choices"]


@pytest.mark.slow
def test_a_stop_text_ends_the_answer_and_is_no_part_of_it(client: Any) -> None:
    whole = asked(client, max_tokens=12).json()["choices"][0]["message"]["content"]
    stop = whole[len(whole) // 2 :][:2]
    cut = asked(client, max_tokens=12, stop=[stop]).json()["choices"][0]
    assert cut["message"]["content"] == whole.partition(stop)[0].strip() and cut["finish_reason"] == "stop"


def writes(assistant: Assistant, text: str) -> None:
    """Let a model write a text, whatever it is asked."""
    tokens = assistant.tokenizer(text, add_special_tokens=False).input_ids

    def generate(streamer: Any, input_ids: torch.Tensor, **_: Any) -> None:
        for part in (input_ids, *map(torch.tensor, ([token] for token in tokens))):
            streamer.put(part)
        streamer.end()

    assistant.model.generate = generate  # type: ignore[method-assign]


def test_a_line_break_as_stop_text_ends_the_first_line_and_not_the_answer_before_it(
    client: Any, assistant: Assistant
) -> None:
    # As a model that was trained with paper-v1 writes: the newline behind "### Response:" is its own.
    writes(assistant, "\nay hello\nhello")
    reply = asked(client, stop="\n").json()
    assert reply["choices"][0]["message"]["content"] == "ay hello"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"]["completion_tokens"] > 2
    events = [line.removeprefix("data: ") for line in asked(client, stop="\n", stream=True).text.split("\n\n") if line]
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(deltas) == "ay hello"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"messages": []}, "'messages' is a list of at least one"),
        ({"messages": None}, "'messages' is a list"),
        ({"messages": "Hi"}, "'messages' is a list"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "the role 'tool'"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "there is nothing to answer"),
        ({"messages": [USER, {"role": "assistant", "content": "Hi"}]}, "the last message must be a user's"),
        ({"messages": [{"role": "user", "content": 7}]}, "'content' of message 1 is a text, not int"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part that is not text"),
        ({"max_tokens": "many"}, "'max_tokens' is a whole number from 1, not 'many'"),
        ({"max_tokens": 0}, "'max_tokens'"),
        ({"max_tokens": True}, "'max_tokens'"),
        ({"temperature": -1}, "'temperature' is a number from 0 to 2"),
        ({"temperature": 1e308}, "'temperature'"),
        ({"top_p": 0}, "'top_p' must be above 0"),
        ({"top_p": 0.9}, "'top_p' draws tokens only with a 'temperature' above 0, which is 0 here if not sent"),
        ({"n": 2}, "a request gets one answer"),
        ({"stream": "yes"}, "'stream' is true or false"),
        ({"stop": [""]}, "'stop' is a text"),
        ({"seed": 1.5}, "'seed' is a whole number"),
        ({"tools": [{"type": "function"}]}, "'tools' is not supported here"),
        ({"top_k": 5}, "'top_k' is not supported here"),
        ({"repetition_penalty": 1.2}, "'repetition_penalty' is not supported here"),
        ({"guided_json": {"type": "object"}}, "'guided_json' is not supported here"),
        ({"messages": [{**USER, "tool_calls": [{"id": "1"}]}]}, "message 1 has 'tool_calls'"),
        ({"messages": [{"role": "user", "content": "window " * 300}]}, "the model's context is 256 tokens"),
    ],
)
def test_a_client_s_mistake_is_told_it(client: Any, request_: dict[str, Any], told: str) -> None:
    reply = asked(client, **request_)
    assert reply.status_code == 400 and told in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", ["{", "[]", '"x"', '{"messages": [{"role": "user", "content": "\\ud800"}]}', "[" * 9999]
)
def test_what_is_no_request_is_told_so(client: Any, body: str) -> None:
    assert client.post(CHAT, content=body, headers={"content-type": "application/json"}).status_code == 400


def test_values_that_change_nothing_are_no_mistake(client: Any) -> None:
    assert asked(client, top_k=-1, repetition_penalty=1.0, min_p=0, chat_template=None, user="x").status_code == 200


def test_half_a_surrogate_pair_is_no_text(client: Any) -> None:
    body = '{"messages": [{"role": "user", "content": "\\ud800"}]}'
    reply = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400 and "half of a surrogate pair" in reply.json()["error"]["message"]


def test_another_model_is_unknown_and_the_own_one_is_listed(client: Any) -> None:
    assert asked(client, model="other").status_code == 404
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["ours"]
    assert client.get("/v1/models/ours").json()["id"] == "ours" and client.get("/v1/models/x").status_code == 404


def test_a_text_is_gone_on_with(client: Any) -> None:
    reply = client.post("/v1/completions", json={"model": "ours", "prompt": "The man", "max_tokens": 4})
    assert reply.status_code == 200 and reply.json()["object"] == "text_completion"
    assert client.post("/v1/completions", json={"model": "ours", "prompt": ["a"]}).status_code == 400


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1@evil",
        "",
        "[x",
    ],
)
def test_a_name_that_somebody_else_can_point_here_is_refused(client: Any, host: str) -> None:
    assert client.get("/v1/models", headers={"host": host}).status_code == 421
    assert client.post(CHAT, json={"messages": [USER]}, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000"])
def test_this_machine_s_addresses_are_answered(client: Any, host: str) -> None:
    assert client.get("/health", headers={"host": host}).json() == {"status": "ok"}


def test_a_page_of_another_origin_and_a_simple_request_are_refused(client: Any) -> None:
    assert client.get("/health", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/health", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200
    simple = client.post(CHAT, content=json.dumps({"messages": [USER]}), headers={"content-type": "text/plain"})
    assert simple.status_code == 415


@pytest.mark.parametrize("path", ["/load_model", "/reset", "/docs", "/v1/responses", "/v1/modelsx", "/"])
def test_only_the_protocol_s_routes_are_open(client: Any, path: str) -> None:
    assert client.post(path, json={}).status_code == client.get(path).status_code == 404


def test_a_body_beyond_any_context_is_refused_before_it_is_read(client: Any) -> None:
    large = json.dumps({"model": "ours", "messages": [{"role": "user", "content": "a" * 200_000}]})
    assert client.post(CHAT, content=large, headers={"content-type": "application/json"}).status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"a" * 4000

    assert client.post(CHAT, content=parts(), headers={"content-type": "application/json"}).status_code == 413
