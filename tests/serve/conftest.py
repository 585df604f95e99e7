"""A model folder as the train stage leaves it: random weights, a learnt tokenizer, the paper's prompt."""

import shutil
from pathlib import Path

import pytest

from crosstune.prompts.templates import TEMPLATES
from crosstune.serve.assistant import Assistant
from tests.evaluate.conftest import llama, model_folder, tokenizer

__all__ = ["llama", "model_folder", "tokenizer"]


@pytest.fixture
def chat_folder(model_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "chat_model"
    shutil.copytree(model_folder, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATES["paper-v1"].chat_template(), encoding="utf-8")
    return folder


@pytest.fixture
def assistant(chat_folder: Path) -> Assistant:
    return Assistant(str(chat_folder))
