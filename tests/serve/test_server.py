"""`crosstune serve`: which engine, which command; and the openai client against the real thing."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.serve import server
from crosstune.serve.assistant import Assistant, Decoding
from tests.command_line import ENVIRONMENT


def test_vllm_is_preferred_then_transformers_then_an_error(chat_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"vllm", "fastapi", "uvicorn"}
    monkeypatch.setattr(server, "_installed", lambda module: module in there)
    assert "vllm.entrypoints.cli.main" in server.command(str(chat_folder), "127.0.0.1", 8000)
    there.remove("vllm")
    assert server.command(str(chat_folder), "127.0.0.1", 8123)[1:] == [
        *("-m", "transformers.cli.transformers", "serve", str(chat_folder)),
        *("--host", "127.0.0.1", "--port", "8123"),
    ]
    there.clear()
    with pytest.raises(BadInputError, match=r"pip install 'crosstune\[serve\]'"):
        server.command(str(chat_folder), "127.0.0.1", 8000)


def test_a_folder_without_chat_template_is_refused_with_the_remedy(model_folder: Path) -> None:
    with pytest.raises(BadInputError, match="crosstune export"):
        server.command(str(model_folder), "127.0.0.1", 8000)


@pytest.fixture
def address(chat_folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "crosstune", "serve", str(chat_folder), "--port", str(port)]
    environment = {**os.environ, **ENVIRONMENT}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _wait_for(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> str:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1)
            return address
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.slow
def test_an_openai_client_gets_the_models_answer(address: str, chat_folder: Path) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    message = {"role": "user", "content": "Say hello"}
    reply = client.chat.completions.create(
        model=str(chat_folder), messages=[message], max_tokens=8, temperature=0, timeout=60
    )
    assistant = Assistant(str(chat_folder))
    expected = assistant.answers([assistant.encode("Say hello")], Decoding(8))[0][0]
    assert reply.choices[0].message.content.strip() == expected
