"""Load causal language models and their tokenizers, safely: safetensors or GGUF, no code from the hub, clear errors."""

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models import transformers_tokenizer, wrappers
from crosstune.models.ends_of_texts import refuse_an_end_behind_each_text
from crosstune.models.finite import named, refuse_not_finite
from crosstune.models.folder import (
    CONFIG,
    fault_of_texts,
    place_of_name,
    refuse_bad_config,
    refuse_bad_config_file,
    refuse_bad_folder,
    refuse_unclear_tokenizer,
)
from crosstune.models.gguf import model as gguf_model
from crosstune.models.gguf import tokenizer as gguf_tokenizer
from crosstune.models.gguf.header import is_gguf
from crosstune.models.transformers_tokenizer import chat_template_of_processor
from crosstune.models.weight_files import OLD_BUFFERS
from crosstune.runs.hub import stay_offline_without_network, why_not


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer from a folder, a GGUF file or the hub.

    A process loads the same files once: with a large vocabulary that takes a second, and a training asks five times.
    What is returned is the caller's own, to which a chat template may be given; the pieces are shared.

    Raises:
        BadInputError: when there is none, or it has no EOS token.
    """
    return copy(_load_tokenizer(path, revision, transformers_tokenizer.state_of_files(Path(path))))


@lru_cache(maxsize=8)
def _load_tokenizer(path: str, revision: str | None, _: tuple[Any, ...]) -> PreTrainedTokenizerBase:
    tokenizer = gguf_tokenizer.load(path) if is_gguf(path) else _tokenizer_of_folder(path, revision)
    if tokenizer.eos_token_id is None:
        raise BadInputError(
            f"the tokenizer of {path} has no EOS token, so a model could never stop: set eos_token in its "
            "tokenizer_config.json"
        )
    refuse_an_end_behind_each_text(tokenizer, path)
    if not tokenizer.chat_template and (written := chat_template_of_processor(path, revision)):
        tokenizer = copy(tokenizer)  # transformers' own may be another caller's, too.
        tokenizer.chat_template = written
    return tokenizer


def _tokenizer_of_folder(path: str, revision: str | None) -> PreTrainedTokenizerBase:
    refuse_unclear_tokenizer(Path(path))
    _ask_for(path)
    try:
        tokenizer = transformers_tokenizer.of_folder(path, revision)
    # Each format of a tokenizer is read by a library with exceptions of its own.
    except Exception as error:
        if (Path(path) / CONFIG).is_file():
            load_config(path, revision)  # It is read for the tokenizer, too: its faults are no tokenizer's.
        raise BadInputError(_message("tokenizer", path, ("tokenizer.json", "tokenizer_config.json"), error)) from None
    # Of a configuration alone transformers makes one without a piece.
    files = {"tokenizer.json", "tekken.json", *getattr(tokenizer, "vocab_files_names", {}).values()}
    if Path(path).is_dir() and not any((Path(path) / name).is_file() for name in files):
        raise BadInputError(f"{path} holds no tokenizer: none of {', '.join(sorted(files))} is there")
    return tokenizer


def load_config(path: str, revision: str | None = None) -> Any:
    """Load a model's configuration from a folder, a GGUF file or the hub, and check that it is of a causal model.

    Raises:
        BadInputError: when there is none, or it is of another kind of model.
    """
    if is_gguf(path):
        return gguf_model.load_config(path)
    # As it is written, which names what transformers would only fail on.
    if (Path(path) / CONFIG).is_file():
        refuse_bad_config_file(Path(path))
    _ask_for(path)
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise BadInputError(_message("model", path, ("config.json", "*.safetensors"), error)) from None
    refuse_bad_config(config.to_dict(), path)
    return config


def load_model(path: str, revision: str | None = None, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a causal language model from a folder, a GGUF file or the hub, in evaluation mode.

    Of a model for text and pictures it is the text model; `wrappers.save_whole` saves it with the rest.

    Raises:
        BadInputError: when it is no model folder, its weights are not those of its configuration, one by one, or some
            are not finite.
    """
    model = _load(path, revision, dtype=dtype)
    refuse_not_finite(
        model,
        f"the model {path}, in {str(dtype).removeprefix('torch.')},",
        "They would turn every score into nonsense: give whole weights, or a wider precision where these overflow",
    )
    return wrappers.text_model(model, path, revision)


def check_model(path: str) -> PreTrainedModel:
    """Check a model here, and each weight's name and shape, without reading weights; return the model without them.

    Raises:
        BadInputError: as `load_model` does, but for weights that are not finite.
    """
    if is_gguf(path):
        return gguf_model.skeleton(path)
    return wrappers.text_model(_load(path, None, device_map="meta"), path)


def _load(path: str, revision: str | None, **how: Any) -> PreTrainedModel:
    model, info = gguf_model.load(path, **how) if is_gguf(path) else _from_folder(path, revision, **how)
    if getattr(model, "_hf_peft_config_loaded", False):  # Beside a model on the hub; in a folder they are seen before.
        raise BadInputError(
            f"{path} holds LoRA adapters beside a model, and transformers added them to its weights: which model is "
            "meant cannot be known. Download it, and take the adapters out of its folder"
        )
    _refuse_other_weights(path, info)
    _refuse_untied(path, model)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _from_folder(path: str, revision: str | None, **how: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    if Path(path).is_dir():
        refuse_bad_folder(Path(path))
    config = load_config(path, revision)
    loader: Any = wrappers.loader_of(config) or AutoModelForCausalLM
    try:
        model, info = loader.from_pretrained(
            path,
            config=config,
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # They are refused below, with all others, by name.
            **how,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # transformers, safetensors and huggingface_hub have a dozen exceptions of their own for a bad folder.
    except Exception as error:
        raise BadInputError(_message("model", path, ("config.json", "*.safetensors"), error)) from None
    return model, info


def _refuse_other_weights(path: str, info: dict[str, Any]) -> None:
    """Stop where weights are not those of the configuration: transformers would draw what is missing at random."""
    unexpected = [name for name in info["unexpected_keys"] if not OLD_BUFFERS.search(name)]
    shapes = [f"{name} {list(found)} instead of {list(wanted)}" for name, found, wanted in info["mismatched_keys"]]
    faults = {
        "missing": list(info["missing_keys"]),
        "of another shape than config.json says": shapes,
        "not part of this architecture": unexpected,
        "unreadable": list(info.get("error_msgs") or []),
    }
    told = [f"{len(names)} {what}: {named(names)}" for what, names in faults.items() if names]
    if told:
        raise BadInputError(
            f"the weights of {path} are not those of its config.json: {'; '.join(told)}. Missing weights must not be "
            f"replaced (transformers would use random numbers): copy the model again, or save it with save_pretrained "
            "from the class that its config.json names (without what torch.compile or a wrapper puts before the names)"
        )


def _refuse_untied(path: str, model: PreTrainedModel) -> None:
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    tied = getattr(model.config, "tie_word_embeddings", False) and head is not None
    if tied and head.weight is not model.get_input_embeddings().weight:
        raise BadInputError(
            f"the config.json of {path} says that the output matrix is the input matrix (tie_word_embeddings: true), "
            "but its weights hold two different ones. Set it to false if both are meant, or save the model again"
        )


def _ask_for(path: str) -> None:
    if not Path(path).exists():
        stay_offline_without_network()


def _message(what: str, path: str, wanted: Sequence[str], error: Exception) -> str:
    folder, reason, named_ones = Path(path), " ".join(str(error).split())[:600].rstrip("."), " and ".join(wanted)
    if folder.is_dir():
        if fault := fault_of_texts(folder):
            return f"the {what} of {path} cannot be read: {fault}. Download it again"
        if (place := place_of_name(folder, error)) is not None:
            return f"the {what} of {path} cannot be read: {place}, which transformers does not know. Correct it"
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        if all(any(folder.glob(one)) for one in wanted):
            return (
                f"the {what} of {path} cannot be read: {type(error).__name__}: {reason}. Its files are there: correct "
                f"them, or copy {named_ones} again from where the model comes from"
            )
        return (
            f"{path} is not a {what} folder: it needs {named_ones}; found: {found}. ({type(error).__name__}: {reason})"
        )
    return (
        f"cannot load the {what} {path!r}: there is no such folder here, so it is taken for a hub id: "
        f"{why_not(error, 'model', path)}. A folder needs {named_ones}"
    )
