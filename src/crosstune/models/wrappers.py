"""Models for text and pictures: the text model is taken out to be trained, and put back where the whole is saved."""

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from crosstune.errors import BadInputError
from crosstune.models.shapes import shapes_only

_REST = "crosstune_rest"
"""The attribute of a text model under which the model that it was taken from waits, without it."""
# Tokens that no model takes for a picture.
_ROW = (4, 5, 6, 7, 8)
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
    decoder: Any = whole.get_submodule(places[0])
    wanted = _logits(whole)
    if text.base_model is text:
        text = decoder  # The whole holds it with its head (Llama 4).
    else:
        setattr(text, text.base_model_prefix, decoder)
        text.set_output_embeddings(whole.get_output_embeddings())  # type: ignore[no-untyped-call]
    text.config.tie_word_embeddings = text.get_output_embeddings().weight is text.get_input_embeddings().weight
    text.generation_config = whole.generation_config
    text.name_or_path = text.config.name_or_path = path
    text.eval()
    _refuse_unequal(_logits(text), wanted, whole, path)
    # What is left waits outside of the text model's modules: it is neither counted, nor moved to a GPU, nor trained.
    whole.set_submodule(places[0], nn.Identity())
    text.__dict__[_REST] = _Rest(whole, places[0], _processor_files(path, revision))
    return cast(PreTrainedModel, text)


def _logits(model: PreTrainedModel) -> Tensor | None:
    """Return what a model says of a short row; None without weights, or where the whole reads no text alone."""
    if model.device.type == "meta":
        return None
    row = torch.tensor([_ROW], device=model.device)
    try:
        with torch.no_grad():
            found: Tensor = model(input_ids=row, attention_mask=torch.ones_like(row)).logits.float()
    # Kosmos, BLIP: without a picture each fails in its own way.
    except Exception:
        return None
    return found


def _refuse_unequal(found: Tensor | None, wanted: Tensor | None, whole: PreTrainedModel, path: str) -> None:
    """Stop where the text model says something else than the whole, which would be asked once it is put back."""
    if found is None or wanted is None:
        return
    error, size = float((found - wanted).abs().max()), float(wanted.abs().max())
    if not error <= 16 * torch.finfo(whole.dtype).eps * size:
        raise BadInputError(
            f"{path} is a model for text and pictures ({type(whole).__name__}) whose logits are not those of its text "
            f"model: on a row of {len(_ROW)} tokens they differ by {error:.3g} of {size:.3g}. What would be trained is "
            "not what the whole computes once it is put back. Give its text model alone, saved as one"
        )


def save_whole(model: PreTrainedModel, folder: Path, **how: Any) -> None:
    """Save a model as transformers does; a text model inside what it was taken from, so that it loads as that did."""
    rest = model.__dict__.get(_REST)
    if rest is None:
        model.save_pretrained(folder, **how)
        return
    whole = rest.whole
    whole.set_submodule(rest.place, model.base_model)
    whole.set_output_embeddings(model.get_output_embeddings())  # type: ignore[no-untyped-call]
    whole.config.text_config = copy(model.config)
    whole.config.text_config.name_or_path = ""  # The whole's own is left out by transformers; no folder goes out.
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
