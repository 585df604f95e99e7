"""What the hub's client raises is said in one sentence: why there is no model or data set, and what to do."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import HfApi, constants, snapshot_download

from crosstune.errors import BadInputError
from crosstune.models.load import load_config
from crosstune.runs import hub as runs_hub
from crosstune.runs.hub import stay_offline_without_network, why_not

ANSWERS = {"gated": (403, "GatedRepo"), "missing": (404, "RepoNotFound"), "login": (401, ""), "broken": (500, "")}


class Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, code = next(answer for name, answer in ANSWERS.items() if name in self.path)
        body = json.dumps({"error": "Access is restricted, see https://example.org (Request ID: 17)"}).encode()
        self.send_response(status)
        for key, value in {"X-Error-Code": code, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def said_of(endpoint: str, name: str) -> str:
    with pytest.raises(Exception) as raised:
        HfApi(endpoint=endpoint).dataset_info(name, timeout=5)
    return why_not(raised.value, "data set", name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("owner/gated", "it is gated: accept its terms on https://huggingface.co/datasets/owner/gated, then run"),
        ("owner/missing", "the hub has no data set of this name, or it is private: correct the name, or"),
        ("owner/login", "the hub does not know who asks, or has no data set of this name: correct the name, or run"),
        ("owner/broken", "the hub answered with status 500: try again later, or download it elsewhere (hf download"),
        ("no name", "a hub id is OWNER/NAME, of letters, digits, '-', '_' and '.': correct the name"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(hub: str, name: str, sentence: str) -> None:
    said = said_of(hub, name)
    assert said.startswith(sentence)
    assert "Request ID" not in said
    assert "example.org" not in said


def test_a_hub_that_cannot_be_reached_is_no_other_fault() -> None:
    said = said_of("http://127.0.0.1:9", "owner/name")
    assert said.startswith("the hub cannot be reached: check the network, or download it elsewhere (hf download --repo")


def test_offline_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Exception) as raised:
        snapshot_download("owner/name", cache_dir=tmp_path)
    said = why_not(raised.value, "model", "owner/name")
    assert said.startswith("HF_HUB_OFFLINE is set: unset it, or download it elsewhere (hf download owner/name --local")


@pytest.mark.parametrize("proxies", [{}, {"https": "http://proxy:3128"}], ids=["no proxy", "proxy"])
def test_without_an_address_the_client_looks_only_at_its_copies(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str]
) -> None:
    def no_address(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    monkeypatch.setattr(runs_hub, "getproxies", lambda: proxies)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    stay_offline_without_network.cache_clear()
    stay_offline_without_network()
    stay_offline_without_network.cache_clear()
    assert (not proxies) == constants.HF_HUB_OFFLINE
    if not proxies:
        with pytest.raises(BadInputError, match="it is taken for a hub id: the hub cannot be reached: check the netw"):
            load_config("owner/no-such-model")


def test_what_is_not_known_of_the_client_is_said_as_it_stands_and_not_taken_for_the_network() -> None:
    said = why_not(ValueError("no key 'siblings' in {}"), "model", "owner/name")
    assert said.startswith("the hub's client stops with ValueError: no key 'siblings' in {}. Try again, or download it")
    said = why_not(RuntimeError(), "model", "owner/name")
    assert said.startswith("the hub's client stops with RuntimeError. Try again, or download it")


def test_a_disk_that_takes_no_copy_is_not_taken_for_the_network() -> None:
    for error in (OSError(28, "No space left on device"), PermissionError(13, "Permission denied", "/cache/blobs")):
        assert "cannot be written" in why_not(error, "model", "some/model")
    for error in (ConnectionRefusedError(111, "Connection refused"), PermissionError(13, "Permission denied")):
        assert "cannot be reached" in why_not(error, "model", "some/model")
