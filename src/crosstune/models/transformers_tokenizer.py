"""A folder's tokenizer as transformers loads it, once in a process: with a large vocabulary that takes seconds."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.hub import cached_file

from crosstune.runs.files import read_json

_OF_PROCESSOR = "chat_template.json"
_FILE, _SENTENCEPIECE = "tokenizer.json", "tokenizer.model"
_PARTS = ("normalizer", "pre_tokenizer", "decoder")
_SWITCHES = ("unk_token", "fuse_unk", "byte_fallback", "ignore_merges")


def of_folder(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Return the fast tokenizer of a folder or of a hub id, shared by all that ask: to be read, and not changed."""
    return _of_folder(path, revision, state_of_files(Path(path)))


@lru_cache(maxsize=8)
def _of_folder(path: str, revision: str | None, _: tuple[Any, ...]) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        path, revision=revision, use_fast=True, trust_remote_code=False
    )
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.model, BPE):
        return loaded
    file, slow = (
        cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        for name in (_FILE, _SENTENCEPIECE)
    )
    # Classes that build nothing themselves take the file as it is.
    if file is not None and type(loaded) is not PreTrainedTokenizerFast and "__init__" in vars(type(loaded)):
        _cut_as_written(backend, read_json(Path(file)))
    elif file is None and slow is not None:
        _order_merges(backend, slow)
    return loaded


def _cut_as_written(backend: Tokenizer, content: dict[str, Any]) -> None:
    """Let a tokenizer cut text as its file says, which its model has learnt and runs are trained with.

    transformers 5 takes pieces and merges from the file, and builds the rest as its class thinks: LLaMA's drops a space
    before a text, and joins runs of spaces otherwise.
    """
    model = content["model"]
    if model.get("type", "BPE") != "BPE":
        return
    parts = {name: content.get(name) for name in _PARTS}
    written = Tokenizer.from_str(json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}, **parts}))
    for name in _PARTS:
        if _state(getattr(backend, name)) != _state(getattr(written, name)):
            setattr(backend, name, getattr(written, name))
    built: Any = backend.model
    for name in _SWITCHES:
        value = model.get(name)
        if (getattr(built, name) or None) != (value or None):
            setattr(built, name, value)


def _order_merges(backend: Tokenizer, slow: str) -> None:
    """Put merges in the order of a SentencePiece model's scores; transformers 5 takes that of its ids.

    Of LLaMA-2's pieces, runs of spaces have the first ids and the lowest scores.
    """
    try:
        pieces = SentencePieceProcessor(model_file=slow)
    except RuntimeError:  # Llama 3's file of this name is one of tiktoken's, whose ids are ranks.
        return
    model = json.loads(backend.to_str())["model"]

    def rank(merge: list[str]) -> tuple[float, int, list[str]]:
        index = pieces.piece_to_id("".join(merge))
        return -pieces.get_score(index), index, merge

    merges = [(left, right) for left, right in sorted(model["merges"], key=rank)]
    switches = {name: model[name] for name in _SWITCHES}
    backend.model = BPE(vocab=model["vocab"], merges=merges, **switches)


def _state(part: Any) -> Any:
    return None if part is None else json.loads(part.__getstate__())


def chat_template_of_processor(path: str, revision: str | None = None) -> str | None:
    """Return the chat template of a model for text and pictures, which stood beside its processor, not its tokenizer.

    transformers reads this file (LLaVA, Mistral 3) for the processor alone.
    """
    if Path(path).is_file():
        return None
    file = cached_file(path, _OF_PROCESSOR, revision=revision, _raise_exceptions_for_missing_entries=False)
    found = read_json(Path(file)) if file is not None else None
    written = found.get("chat_template") if isinstance(found, dict) else None
    return written if isinstance(written, str) else None


def state_of_files(path: Path) -> tuple[Any, ...]:
    """Return what changes when a file of a folder, or a file, is written or replaced; nothing of the hub's."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return tuple((file.name, *_times(file.stat())) for file in files if file.is_file())


def _times(state: os.stat_result) -> tuple[int, ...]:
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
