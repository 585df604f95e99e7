"""Load causal language models and their tokenizers, safely: safetensors only, no code from the hub, clear errors."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer from a folder or the hub.

    Raises:
        BadInputError: when there is none, or it has no EOS token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, use_fast=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BadInputError(_message("tokenizer", path, "tokenizer.json and tokenizer_config.json", error)) from None
    if tokenizer.eos_token_id is None:
        raise BadInputError(f"the tokenizer of {path} has no EOS token, so a model could never stop: set its eos_token")
    return tokenizer


def load_model(path: str, revision: str | None = None, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a causal language model from a folder or the hub, in evaluation mode.

    Raises:
        BadInputError: when the folder is not a model folder, or holds no safetensors.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path, revision=revision, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise BadInputError(_message("model", path, "config.json and *.safetensors", error)) from None
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _message(what: str, path: str, wanted: str, error: Exception) -> str:
    folder = Path(path)
    if folder.is_dir():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        return f"{path} is no {what} folder: it needs {wanted}; found: {found}. ({error})"
    return (
        f"cannot load the {what} {path!r}: there is no such folder here, and the hub did not give it. "
        f"Give a folder with {wanted}, or a hub id that you have access to. ({error})"
    )
