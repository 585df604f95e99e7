"""What is wrong with a model folder, said before its weights are read: each fault in a sentence of its own."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.models.config_numbers import number_faults
from crosstune.models.weight_files import INDEX, PICKLED, json_of, weight_faults
from crosstune.runs.files import KeyTwiceError, parse_json, read_json
from crosstune.runs.hashes import damage_to

CONFIG, GENERATION, ADAPTERS = "config.json", "generation_config.json", "adapter_config.json"
_DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")
_MODEL_TEXTS = (CONFIG, GENERATION, INDEX, ADAPTERS, "preprocessor_config.json", "processor_config.json")
_TOKENIZER_TEXTS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("chat_template.jinja", "chat_template.json"),
)
_OF_QUANTIZED = ("quantization_config", "compression_config")
_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")


def refuse_bad_folder(folder: Path) -> None:
    """Check the configuration and the weights' files of a model folder, without reading weights.

    Raises:
        BadInputError: with what was asked, what was found, and what to do.
    """
    refuse_changed(folder)
    for fault in _faults(folder):
        raise BadInputError(f"the model folder {folder} cannot be used: {fault}")


def refuse_changed(folder: Path) -> None:
    """Check a model folder that a run of crosstune trained against the hashes that training noted beside it.

    A setting with another legal value (rope_theta, hidden_act) makes another model, which nothing else could tell.

    Raises:
        BadInputError: when a file is missing, cut off or changed.
    """
    noted = folder.absolute().parent / "system.json"
    facts = read_json(noted) if noted.is_file() else {}
    if not isinstance(facts, dict) or facts.get("model") != f"./systems/{noted.parent.name}/{folder.absolute().name}":
        return
    if damage := damage_to(folder, facts.get("files", {})):
        raise BadInputError(
            f"the model folder {folder} is not what training left: {'; '.join(damage)}. Put a complete copy there; if "
            "the change is meant, copy the folder out of the run and use the copy"
        )


def holds_weights(folder: Path) -> bool:
    """Return whether a folder holds files of weights, in whatever format."""
    return any(path.name == INDEX or path.name.endswith((".safetensors", *PICKLED)) for path in folder.iterdir())


def fault_of_texts(folder: Path) -> str | None:
    """Return what is wrong with the first small file of a folder that is no JSON, or no text, as its name says."""
    # Of those that the libraries read: another file in the folder is nobody's fault.
    faults = (_fault_of_text(folder / name) for name in (*_MODEL_TEXTS, *_TOKENIZER_TEXTS))
    return next(filter(None, faults), None)


def refuse_unclear_tokenizer(folder: Path) -> None:
    """Check that no file of a tokenizer, in its folder, says two things at once.

    Raises:
        BadInputError: when a key occurs twice in an object of JSON.
    """
    for fault in _twice_named(folder, _TOKENIZER_TEXTS):
        raise BadInputError(f"the tokenizer in {folder} cannot be used: {fault}")


def _twice_named(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield that a key occurs twice: libraries take one of the values and are silent; other faults they tell."""
    for path in (folder / name for name in names if name.endswith(".json")):
        try:
            parse_json(path.read_text(encoding="utf-8"))
        except KeyTwiceError as error:
            yield f"in its {path.name}, {error}. Delete one of them"
        except (OSError, ValueError, RecursionError):
            continue


def _fault_of_text(path: Path) -> str | None:
    if path.is_dir():
        return f"{path.name} is a folder, not a file"
    if not path.exists():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            parse_json(text)
    except UnicodeDecodeError as error:
        return f"{path.name} is not UTF-8 (byte {error.start})"
    except KeyTwiceError as error:
        return f"in {path.name}, {error}"
    except (ValueError, RecursionError) as error:
        return f"{path.name} is not JSON ({error})"
    return None


def place_of_name(folder: Path, error: Exception) -> str | None:
    """Return what a configuration says where a library failed on a name in it: all that it tells is the name."""
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not isinstance(name, str) or not (folder / CONFIG).is_file():
        return None
    places = [place for place, value in _values(json_of(folder / CONFIG)) if value == name]
    return f"its {CONFIG} says {places[0]} {name!r}" if places else None


def _values(content: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _values(value, f"{before}.{key}" if before else str(key))
    else:
        yield before, content


def refuse_bad_config_file(folder: Path) -> None:
    """Check the configuration in a model folder, as it is written.

    Raises:
        BadInputError: as `refuse_bad_config` does, or when it is not a JSON object.
    """
    for fault in _config_file_faults(folder):
        raise BadInputError(f"the model folder {folder} cannot be used: {fault}")


def refuse_bad_config(content: dict[str, Any], where: str) -> None:
    """Check a model's configuration, of a folder or from the hub.

    Raises:
        BadInputError: when it is of no causal language model, or of one whose weights cannot be trained.
    """
    for fault in _config_faults(content):
        raise BadInputError(f"the model {where} cannot be used: {fault}")


def _faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong, the cause before its consequences: only the first is told."""
    found = sorted(path.name for path in folder.iterdir())
    if not (folder / CONFIG).is_file():
        yield _without_config(folder, found)
        return
    yield from _config_file_faults(folder)
    if ADAPTERS in found:
        yield (
            f"it holds LoRA adapters ({ADAPTERS}) beside a config.json, and transformers would add them to its "
            f"weights: which model is meant cannot be known. Take {ADAPTERS} and the adapters out of it, or "
            "merge them in a folder of their own: crosstune export ADAPTERS MERGED"
        )
    yield from _generation_faults(folder / GENERATION)
    yield from weight_faults(folder, found, _text_config(json_of(folder / CONFIG)))


def _config_file_faults(folder: Path) -> Iterator[str]:
    yield from _twice_named(folder, _MODEL_TEXTS)
    content = json_of(folder / CONFIG)
    if isinstance(content, dict):
        yield from _config_faults(content)
    else:
        yield f"its {CONFIG} is not a JSON object. Download it again"


def _without_config(folder: Path, found: list[str]) -> str:
    if ADAPTERS in found:
        return (
            "it holds LoRA adapters (adapter_config.json), not a model. Merge them into their base first: crosstune "
            f"export {folder} MERGED"
        )
    if gguf := [name for name in found if name.endswith(".gguf")]:
        return f"it holds no config.json, but {', '.join(gguf)}: give the path of that file instead of its folder"
    return f"it is not a model folder: it needs config.json and *.safetensors; found: {', '.join(found) or 'nothing'}"


def _config_faults(content: dict[str, Any]) -> Iterator[str]:
    # Imported here: only a recipe that starts from a model pays for transformers at its dry run.
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = content.get("model_type")
    if kind not in CONFIG_MAPPING:
        if content.get("auto_map"):
            yield (
                f"its architecture {kind!r} is Python code in its own folder (auto_map in config.json), which is never "
                "executed. Use a model whose architecture transformers has, or convert this one"
            )
        yield (
            f"its config.json says model_type {kind!r}, which transformers {transformers.__version__} does not know. "
            "Update transformers, or correct model_type"
        )
        return
    text = _text_config(content)
    for quantized in filter(None, (part.get(key) for part in (content, text) for key in _OF_QUANTIZED)):
        method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else quantized
        yield (
            f"its weights are quantized ({method}; quantization_config in config.json), and those cannot be trained or "
            "compared in full precision. Give the original, unquantized model"
        )
    yield from _architecture_faults(str(kind), content)
    yield from number_faults(text, _names_of(str(text.get("model_type", kind))))
    padding, size = text.get("pad_token_id"), text.get("vocab_size")
    if isinstance(padding, int) and isinstance(size, int) and padding >= size:
        yield (
            f"its config.json says pad_token_id {padding}, but vocab_size {size}, so that padding has no row and "
            "transformers cannot build the model. Set pad_token_id to null: training pads nothing"
        )
    for key in ("dtype", "torch_dtype"):
        if (dtype := content.get(key)) is not None and str(dtype).removeprefix("torch.") not in _DTYPES:
            yield f"its config.json says {key} {dtype!r}; known are {', '.join(_DTYPES)}. Correct it"


def _architecture_faults(kind: str, content: dict[str, Any]) -> Iterator[str]:
    from transformers.models.auto import modeling_auto

    mappings = (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES)
    classes = {name for mapping in mappings for name in mapping.values()}
    own = {mapping[kind] for mapping in mappings if kind in mapping}
    architectures = content.get("architectures") or []
    known = classes & set(architectures)
    if content.get("is_encoder_decoder"):
        yield (
            f"its config.json (model_type {kind!r}) says is_encoder_decoder: true: it reads a text by an encoder and "
            "answers by a decoder, and is no causal language model. Give a decoder alone, as LlamaForCausalLM"
        )
    if not own or (architectures and not known):
        yield (
            f"its config.json (model_type {kind!r}, architectures {architectures}) is no causal language model's. Give "
            "a decoder with a language-model head, whose architecture ends in ForCausalLM, as LlamaForCausalLM"
        )
    elif architectures and not {name.partition("For")[0] for name in own} & {one.partition("For")[0] for one in known}:
        yield (
            f"its config.json says model_type {kind!r}, but architectures {architectures}, which is another model's, "
            f"and its weights would be read as those of {' or '.join(sorted(own))}. Correct the one that is wrong"
        )


def _text_config(content: dict[str, Any]) -> dict[str, Any]:
    return next((content[key] for key in _TEXT_CONFIGS if isinstance(content.get(key), dict)), content)


def _names_of(kind: str) -> dict[str, str]:
    """Return an architecture's own names of sizes, by those that transformers gives them everywhere."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return dict(CONFIG_MAPPING[kind].attribute_map) if kind in CONFIG_MAPPING else {}


def _generation_faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with the tokens that end an answer: transformers ignores a file that it cannot read."""
    if not path.is_file():
        return
    content = json_of(path)
    if not isinstance(content, dict):
        yield f"its {path.name} is not a JSON object. Download it again, or delete it"
        return
    ends = content.get("eos_token_id")
    each = ends if isinstance(ends, list) else [ends]
    if ends is not None and not all(isinstance(end, int) and not isinstance(end, bool) for end in each):
        yield f"its {path.name} says eos_token_id {ends!r}, which has to be a token's number, or a list of them"
