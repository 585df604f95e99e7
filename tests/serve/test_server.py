"""`crosstune serve`: which engine, which command; and the openai client against the real thing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.serve import server
from crosstune.serve.assistant import Assistant
from crosstune.serve.decoding import Decoding
from tests.served import served


def test_vllm_is_preferred_then_our_own_then_an_error(chat_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"vllm", "starlette", "uvicorn"}
    monkeypatch.setattr(server, "is_installed", lambda module: module in there)
    assert server.engine_for(str(chat_folder), "auto") == "vllm"
    assert server.engine_for(str(chat_folder), "crosstune") == "crosstune"
    command = server.vllm_command(str(chat_folder), "127.0.0.1", 8123)
    assert command[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", str(chat_folder)]
    assert command[-2:] == ["--middleware", "crosstune.serve.guard.Guard"] and "chat_model" in command
    command = server.vllm_command(str(chat_folder), "127.0.0.1", 8123, "bf16")
    assert command[-2:] == ["--dtype", "bfloat16"]
    there.remove("vllm")
    assert server.engine_for(str(chat_folder), "auto") == "crosstune"
    with pytest.raises(BadInputError, match="pip install vllm"):
        server.engine_for(str(chat_folder), "vllm")
    there.clear()
    with pytest.raises(BadInputError, match=r"pip install 'crosstune\[serve\]'"):
        server.engine_for(str(chat_folder), "auto")


def test_a_gguf_file_is_served_by_our_own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "is_installed", lambda module: True)
    (tmp_path / "tiny.gguf").touch()
    assert server.engine_for(str(tmp_path / "tiny.gguf"), "auto") == "crosstune"
    with pytest.raises(BadInputError, match=r"crosstune export .*tiny.gguf FOLDER"):
        server.engine_for(str(tmp_path / "tiny.gguf"), "vllm")
    assert server.name_of(str(tmp_path / "tiny.gguf")) == "tiny.gguf"


def test_a_folder_without_chat_template_is_refused_with_the_remedy(model_folder: Path) -> None:
    with pytest.raises(BadInputError, match="crosstune export"):
        server.engine_for(str(model_folder), "auto")


def test_a_model_s_name_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "ours" / "model").mkdir(parents=True)
    assert server.name_of(str(tmp_path / "ours" / "model")) == "ours"
    assert server.name_of("owner/name") == "owner/name"


@pytest.fixture
def address(chat_folder: Path) -> Iterator[str]:
    with served("serve", str(chat_folder), path="/health") as address:
        yield address


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
    assert reply.choices[0].message.content == expected
    assert reply.usage.prompt_tokens == len(assistant.encode("Say hello")) and reply.usage.completion_tokens <= 8
    assert [one.id for one in client.models.list()] == ["chat_model"]
    streamed = client.chat.completions.create(
        model="chat_model", messages=[message], max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(streamed)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip() == expected
    assert chunks[-1].usage == reply.usage and chunks[-2].choices[0].finish_reason == reply.choices[0].finish_reason
