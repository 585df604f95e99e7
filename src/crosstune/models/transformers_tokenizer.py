"""A folder's tokenizer as transformers loads it, once in a process: with a large vocabulary that takes seconds."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase


def of_folder(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Return the fast tokenizer of a folder or of a hub id, shared by all that ask: to be read, and not changed."""
    return _of_folder(path, revision, state_of_files(Path(path)))


@lru_cache(maxsize=8)
def _of_folder(path: str, revision: str | None, _: tuple[Any, ...]) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        path, revision=revision, use_fast=True, trust_remote_code=False
    )
    return loaded


def state_of_files(path: Path) -> tuple[Any, ...]:
    """Return what changes when a file of a folder, or a file, is written or replaced; nothing of the hub's."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return tuple((file.name, *_times(file.stat())) for file in files if file.is_file())


def _times(state: os.stat_result) -> tuple[int, ...]:
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
