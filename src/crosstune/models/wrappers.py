"""Models for text and pictures: the text model is taken out to be trained, and put back where the whole is saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from crosstune.errors import BadInputError
from crosstune.models.shapes import shapes_only

_REST = "crosstune_rest"
"""The attribute of a text model under which the model that it was taken from waits, without it."""
_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the configuration of a model's text decoder: its own, where it has only one."""
    return config.get_text_config(decoder=True)


def loader_of(config: PreTrainedConfig) -> Any:
    """Return the class that loads a model for text and pictures; None for a plain language model."""
    return None if text_config(config) is config else AutoModelForMultimodalLM


def text_model(whole: PreTrainedModel, path: str, revision: str | None = None) -> PreTrainedModel:
    """Take the causal language model out of a model for text and pictures; a plain one is returned as it is.

    Raises:
        BadInputError: when transformers has no language model of its own for that part.
    """
    config = text_config(whole.config)
    if config is whole.config:
        return whole
    try:
        with shapes_only():  # Its weights are those of the whole.
            text = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except ValueError:
        raise BadInputError(_no_text_model(whole, path)) from None
    places = [name for name, part in whole.named_modules() if type(part) is type(text.base_model)]
    if len(places) != 1:
        raise BadInputError(_no_text_model(whole, path))
    decoder = whole.get_submodule(places[0])
    setattr(text, text.base_model_prefix, decoder)
    text.set_output_embeddings(whole.get_output_embeddings())  # type: ignore[no-untyped-call]
    text.config.tie_word_embeddings = text.get_output_embeddings().weight is text.get_input_embeddings().weight
    text.generation_config = whole.generation_config
    text.name_or_path = text.config.name_or_path = path
    text.eval()
    # What is left waits outside of the text model's modules: it is neither counted, nor moved to a GPU, nor trained.
    whole.set_submodule(places[0], nn.Identity())
    text.__dict__[_REST] = _Rest(whole, places[0], _processor_files(path, revision))
    return cast(PreTrainedModel, text)


def save_whole(model: PreTrainedModel, folder: Path, **how: Any) -> None:
    """Save a model as transformers does; a text model inside what it was taken from, so that it loads as that did."""
    rest = model.__dict__.get(_REST)
    if rest is None:
        model.save_pretrained(folder, **how)
        return
    whole = rest.whole
    whole.set_submodule(rest.place, model.base_model)
    whole.set_output_embeddings(model.get_output_embeddings())  # type: ignore[no-untyped-call]
    whole.config.text_config = model.config
    whole.config.tie_word_embeddings = model.config.tie_word_embeddings
    whole.generation_config = model.generation_config
    whole.to(model.dtype)
    whole.save_pretrained(folder, **how)
    for name, content in rest.files.items():
        (folder / name).write_bytes(content)
    whole.set_submodule(rest.place, nn.Identity())


def is_part(model: PreTrainedModel) -> bool:
    """Return whether a text model was taken out of a model for text and pictures."""
    return _REST in model.__dict__


@dataclass(frozen=True)
class _Rest:
    """What a text model was taken from.

    Attributes:
        whole: without the text model.
        place: where that stood.
        files: what prepares pictures, by file name.
    """

    whole: PreTrainedModel
    place: str
    files: dict[str, bytes]


def _processor_files(path: str, revision: str | None) -> dict[str, bytes]:
    found = {}
    for name in _PROCESSOR_FILES:
        file = cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if file is not None:
            found[name] = Path(file).read_bytes()
    return found


def _no_text_model(whole: PreTrainedModel, path: str) -> str:
    return (
        f"{path} is a model for text and pictures ({type(whole).__name__}), and transformers has no language model "
        f"for its text part ({type(text_config(whole.config)).__name__}): it can be neither trained nor scored on text."
        " Give a text model"
    )
