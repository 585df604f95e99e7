"""The model of a GGUF file: its configuration and weights, through transformers, each proved to be what it says."""

import copy
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

from crosstune.errors import BadInputError
from crosstune.models.config_numbers import number_faults
from crosstune.models.finite import named
from crosstune.models.gguf.header import Header, read_header
from crosstune.models.gguf.quick import quick_reading
from crosstune.models.shapes import shapes_only

# Those of which our tests compare a file's logits with the model that it was written from.
ARCHITECTURES = ("gemma3", "llama", "qwen2", "qwen3")
_SETTINGS = {
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
    "attention.value_length": "head_dim",
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "rope.dimension_count": "head_dim",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
}
"""The settings of an architecture that are read, and what transformers calls them."""
_TOKENS = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "pad_token_id": "padding_token_id"}
_OF_QUANTIZED = {"hf_quantizer", "is_quantized", "quantization_method", "quantization_config", "_is_quantized"}
_OTHER_STOPS = ("eot_token_id", "eom_token_id")


def load_config(path: str) -> Any:
    """Return the configuration of a file's model, each setting of the file among it.

    Raises:
        BadInputError: when the file is damaged, or says something that transformers does not read.
    """
    header = read_header(path)
    for fault in _faults(header):
        raise BadInputError(f"the model {path} cannot be used: {fault}")
    status = Path(path).stat()
    config = copy.deepcopy(_read_config(path, status.st_size, status.st_mtime_ns))
    unread = {f"{header.architecture}.{key}": value for key, value in _unread(header, config)}
    if unread:
        raise BadInputError(
            f"the model {path} cannot be used: transformers does not read {len(unread)} of its settings "
            f"({', '.join(f'{key} = {value!r}' for key, value in unread.items())}), so the result would be a "
            f"different model. Give the model as a folder with config.json and *.safetensors"
        )
    for fault in number_faults(config.to_dict(), {}):
        raise BadInputError(f"the model {path} cannot be used: {fault}")
    scale = getattr(config, "query_pre_attn_scalar", None)
    # No setting of the file: llama.cpp divides by the width of a head, but for Gemma 3 27B.
    if scale is not None and scale != config.head_dim:
        raise BadInputError(
            f"the model {path} cannot be used: its heads are {config.head_dim} wide, and transformers would scale "
            f"attention as for {scale}. Give the model as a folder with config.json and *.safetensors"
        )
    for name, key in _TOKENS.items():
        setattr(config, name, header.settings.get(f"tokenizer.ggml.{key}"))
    return config


def skeleton(path: str) -> PreTrainedModel:
    """Return the model without its weights, each of whose names and shapes was found in the file.

    Raises:
        BadInputError: with the tensors that are missing, unknown, or of another shape.
    """
    config = load_config(path)
    with shapes_only():
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    with quick_reading():
        _refuse_other_tensors(path, read_header(path), model)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load(path: str, dtype: torch.dtype) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model with its weights dequantized, and what transformers says of their names.

    Raises:
        BadInputError: as `skeleton` does.
    """
    skeleton(path)
    header, place, config = read_header(path), Path(path), load_config(path)
    loader: Any = AutoModelForCausalLM
    model: PreTrainedModel
    info: dict[str, Any]
    try:
        with quick_reading():
            model, info = loader.from_pretrained(
                place.parent, gguf_file=place.name, config=config, dtype=dtype, output_loading_info=True
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # gguf and transformers have exceptions of their own for each format.
    except Exception as error:
        reason = " ".join(str(error).split())[:600]
        raise BadInputError(f"the weights of {path} cannot be read ({type(error).__name__}: {reason})") from None
    # Its weights are plain numbers now: nothing that saves or adapts it should take it for a quantized model.
    for holder in (model, model.config):
        for name in _OF_QUANTIZED & vars(holder).keys():
            delattr(holder, name)
    model.name_or_path = model.config.name_or_path = path
    stops = [header.settings.get(f"tokenizer.ggml.{key}") for key in ("eos_token_id", *_OTHER_STOPS)]
    model.generation_config.eos_token_id = [stop for stop in dict.fromkeys(stops) if stop is not None] or None
    return model, info


def facts_of(path: str) -> dict[str, Any]:
    """Return what a report says of a file: its name, how its weights were stored, its prompt's form, its tokens."""
    settings = read_header(path).settings
    tokens = settings.get("tokenizer.ggml.tokens") or []
    named_tokens = {
        key: tokens[index]
        for key in (*_TOKENS.values(), "unknown_token_id", *_OTHER_STOPS)
        if (index := settings.get(f"tokenizer.ggml.{key}")) is not None and index < len(tokens)
    }
    return {
        "file": Path(path).name,
        "name": settings.get("general.name", ""),
        "license": settings.get("general.license", ""),
        "formats": read_header(path).formats,
        "special_tokens": {key.removesuffix("_id"): token for key, token in named_tokens.items()},
        "chat_template": "tokenizer.chat_template" in settings,
    }


@lru_cache(maxsize=4)
def _read_config(path: str, _size: int, _changed: int) -> Any:
    try:
        with quick_reading():
            return AutoConfig.from_pretrained(Path(path).parent, gguf_file=Path(path).name)
    except Exception as error:
        reason = " ".join(str(error).split())[:600]
        raise BadInputError(
            f"transformers cannot read the settings of {path} ({type(error).__name__}: {reason})"
        ) from None


def _faults(header: Header) -> Iterator[str]:
    kind, parts = header.settings.get("general.type", "model"), header.settings.get("split.count", 0)
    if kind != "model":
        yield f"its general.type is {kind!r}, not 'model'. Give the file of the model itself"
    if parts > 1:
        yield f"it is one of {parts} parts. Join them first: llama-gguf-split --merge FIRST_PART WHOLE.gguf"
    if header.architecture not in ARCHITECTURES:
        yield (
            f"its architecture is {header.architecture!r}; read from GGUF are {', '.join(ARCHITECTURES)}. Give the "
            "model as a folder with config.json and *.safetensors"
        )
    unknown = {tensor.format: tensor.name for tensor in header.tensors if tensor.format not in _readable()}
    if unknown:
        yield (
            f"it stores weights as {', '.join(sorted(unknown))} ({named(unknown.values())}), which gguf cannot turn "
            "into numbers. Give another quantisation, as Q8_0 or F16"
        )


def _readable() -> set[str]:
    from gguf.quants import _type_traits

    return {"F32", "F16", *(kind.name for kind in _type_traits)}


def _unread(header: Header, config: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings of the file that the configuration lacks, or has otherwise."""
    for key, value in header.of_architecture().items():
        name = _SETTINGS.get(key)
        if name is None or not _is_same(value, _value_of(config, name)):
            yield key, value


def _value_of(config: Any, name: str) -> Any:
    if name == "rope_theta":
        parameters = config.rope_parameters
        # Gemma 3 has one set for layers of each kind of attention, and in its files a setting for those without window.
        return parameters.get("full_attention", parameters)["rope_theta"]
    found = getattr(config, name, None)
    return config.hidden_size // config.num_attention_heads if name == "head_dim" and found is None else found


def _is_same(value: Any, found: Any) -> bool:
    if isinstance(value, float) and isinstance(found, int | float):
        return math.isclose(value, found, rel_tol=1e-6)
    return bool(value == found)


def _refuse_other_tensors(path: str, header: Header, model: PreTrainedModel) -> None:
    """Stop where a file's tensors are not those of its model: transformers would leave some out without a word."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        shapes.pop("lm_head.weight", None)
    places = {
        name: place
        for name, place in get_gguf_hf_weights_map(model, TensorProcessor()).items()  # type: ignore[no-untyped-call]
        if place in shapes
    }
    found = {tensor.name: tensor.shape for tensor in header.tensors}
    faults = {
        "missing": places.keys() - found.keys(),
        "not part of this architecture, as transformers has it": found.keys() - places.keys(),
        "of another shape than its settings say": {
            f"{name} {list(found[name])} instead of {list(shapes[places[name]])}"
            for name in places.keys() & found.keys()
            if found[name] != shapes[places[name]]
        },
    }
    told = [f"{len(names)} {what}: {named(names)}" for what, names in faults.items() if names]
    unknown = shapes.keys() - set(places.values())
    if unknown:
        told.append(f"{len(unknown)} that GGUF has no name for: {named(unknown)}")
    if told:
        raise BadInputError(
            f"the weights of {path} are not those of its settings: {'; '.join(told)}. Weights must not be replaced or "
            f"ignored: copy the file again, or give the model as a folder with config.json "
            "and *.safetensors"
        )
