"""`crosstune push`: what goes, to whom, and what does not go."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import HFValidationError
from rich.console import Console

from crosstune.errors import BadInputError
from crosstune.serve import push as module
from crosstune.serve.push import push


class Hub:
    """Takes what would be sent."""

    def __init__(self, is_private: bool = True, error: Exception | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._is_private, self._error = is_private, error

    def create_repo(self, repository: str, private: bool, exist_ok: bool) -> None:
        if self._error:
            raise self._error
        self.sent.append({"repository": repository, "private": private, "exist_ok": exist_ok})

    def repo_info(self, repository: str) -> SimpleNamespace:
        return SimpleNamespace(id=repository, private=self._is_private)

    def upload_folder(self, **arguments: Any) -> SimpleNamespace:
        self.sent.append(arguments)
        return SimpleNamespace(commit_url="https://hub/commit")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(module, "HfApi", lambda: hub)
    return hub


@pytest.fixture
def model(chat_folder: Path) -> Path:
    (chat_folder / "README.md").write_text("# card\n", encoding="utf-8")
    (chat_folder / ".secret").write_text("no", encoding="utf-8")
    (chat_folder / "checkpoints").mkdir()
    return chat_folder


def test_the_folders_files_go_to_a_private_repository(hub: Hub, model: Path) -> None:
    push(model, "me/ours", public=False, dry_run=False)
    created, uploaded = hub.sent
    assert created == {"repository": "me/ours", "private": True, "exist_ok": True}
    assert uploaded["repo_id"] == "me/ours" and uploaded["folder_path"] == model
    names = uploaded["allow_patterns"]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(names)
    assert ".secret" not in names and "checkpoints" not in names


def test_a_dry_run_sends_nothing(hub: Hub, model: Path) -> None:
    push(model, "me/ours", public=True, dry_run=True)
    assert hub.sent == []


def test_a_repository_that_is_public_already_gets_nothing_private(hub: Hub, model: Path) -> None:
    hub._is_private = False
    with pytest.raises(BadInputError, match="exists and is public"):
        push(model, "me/ours", public=False, dry_run=False)
    assert len(hub.sent) == 1


def test_what_the_hub_refuses_is_a_message(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(module, "HfApi", lambda: Hub(error=HFValidationError("no such name")))
    with pytest.raises(BadInputError, match=r"no such name.*hf auth login"):
        push(model, "bad name", public=False, dry_run=False)


def test_without_a_network_there_is_a_message(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    class ConnectError(Exception):
        """As the hub's HTTP library has it: no OSError."""

    monkeypatch.setattr(module, "HfApi", lambda: Hub(error=ConnectError("Name or service not known")))
    with pytest.raises(BadInputError, match=r"rejected .* as me/ours: Name or service not known"):
        push(model, "me/ours", public=False, dry_run=False)


def test_what_would_go_is_shown(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "console", Console(stderr=True, width=100))
    push(model, "me/ours", public=False, dry_run=True)
    shown = capsys.readouterr().err
    assert "README.md" in shown and "model.safetensors" in shown and ".secret" not in shown


def test_a_folder_without_card_or_weights_is_refused(hub: Hub, chat_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no model card \(README\.md\)"):
        push(chat_folder, "me/ours", public=False, dry_run=True)
    with pytest.raises(BadInputError, match="no folder"):
        push(tmp_path / "nothing", "me/ours", public=False, dry_run=True)
