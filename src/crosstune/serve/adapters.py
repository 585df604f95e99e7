"""Adapters of peft in a folder of their own, merged into the base that they were trained for."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.finite import named
from crosstune.models.folder import fault_of_texts
from crosstune.models.load import load_model
from crosstune.runs.files import read_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What peft saves beside adapters where a vocabulary was resized.
_WHOLE_MATRICES = ("embed_tokens.weight", "lm_head.weight")


def merged(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Return the base of a folder of adapters with these merged into it.

    Raises:
        BadInputError: when the folder is not whole, or its weights are not those that its configuration asks for:
            peft would leave out what is missing, and the base would look like the merged model.
    """
    settings = _settings(folder)
    base = load_model(settings["base_model_name_or_path"], settings.get("revision"), dtype)
    try:
        adapted: Any = PeftModel.from_pretrained(base, str(folder))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # peft checks shapes and settings by exceptions of many kinds.
    except Exception as error:
        reason = " ".join(str(error).split())[:600].rstrip(".")
        raise BadInputError(
            f"the adapters in {folder} cannot be put on their base {settings['base_model_name_or_path']}: "
            f"{type(error).__name__}: {reason}. Copy the folder again, or correct base_model_name_or_path in its "
            f"{CONFIG}"
        ) from None
    _refuse_other_weights(folder, adapted)
    whole: PreTrainedModel = adapted.merge_and_unload()
    return whole


def _settings(folder: Path) -> dict[str, Any]:
    if fault := fault_of_texts(folder):
        raise BadInputError(f"the adapters in {folder} cannot be read: {fault}. Copy the folder again")
    settings = read_json(folder / CONFIG)
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    if not isinstance(base, str) or not base:
        raise BadInputError(
            f"{folder / CONFIG} does not say what the adapters belong to: set base_model_name_or_path to the base's "
            "folder or hub id"
        )
    if not (folder / WEIGHTS).is_file():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir()))
        raise BadInputError(
            f"the adapters in {folder} have no {WEIGHTS}; found: {found}. Other formats can run code when they are "
            "opened and are never opened: save the adapters again with save_pretrained"
        )
    return dict(settings)


def _refuse_other_weights(folder: Path, adapted: Any) -> None:
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    with safe_open(str(folder / WEIGHTS), "pt") as file:
        found = set(file.keys())
    faults = {
        "missing": wanted - found,
        "not asked for": {name for name in found - wanted if not name.endswith(_WHOLE_MATRICES)},
    }
    told = [f"{len(names)} {what}: {named(names)}" for what, names in faults.items() if names]
    if told:
        raise BadInputError(
            f"the weights of the adapters in {folder} are not those of its {CONFIG}: {'; '.join(told)}. peft would "
            "leave them out: copy the folder again, or save the adapters again with save_pretrained"
        )
