"""Adapters that are kept apart from their model: written as peft loads them, where it would load the same."""

import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from crosstune.errors import BadInputError
from crosstune.models.layers import inner_model
from crosstune.models.wrappers import is_part
from crosstune.runs.files import put_in_place
from crosstune.train.methods.lora_targets import is_renamed

_REMEDY = "Leave it out: systems/NAME/model holds the whole model, adapters merged"


def refuse_another_place(trained: Any, setting: str) -> None:
    """Check that peft would put the adapters of a model where they were trained.

    Raises:
        BadInputError: when it would not.
    """
    model = inner_model(trained)
    if is_part(model):
        raise BadInputError(
            f"{setting}: the text model is trained apart from the model for pictures that it was taken from, where "
            f"peft would look for its adapters under other names and leave them out. {_REMEDY}"
        )
    if is_renamed(model, trained.peft_config["default"].target_modules):
        raise BadInputError(
            f"{setting}: peft takes some of the adapted layers of {type(model).__name__} for parts of its experts when "
            f"it loads adapters, and would put these there. {_REMEDY}"
        )


def save_adapter(accelerator: Accelerator, trained: nn.Module, base: str, folder: Path) -> None:
    """Write the adapters alone, as peft loads them onto ``base`` (a model folder, a GGUF file or a hub id)."""
    state = accelerator.get_state_dict(trained)
    adapted = accelerator.unwrap_model(trained, keep_fp32_wrapper=False)
    if accelerator.is_main_process:
        where = str(Path(base).resolve()) if Path(base).exists() else base
        adapted.peft_config["default"].base_model_name_or_path = where
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        # No look into the base for grown embeddings: it may lie on a hub, and adapters do not touch them.
        adapted.save_pretrained(temporary, state_dict=state, save_embedding_layers=False)
        # peft's model card is a form to be filled in; the system's own stands in its model folder.
        (temporary / "README.md").unlink(missing_ok=True)
        put_in_place(temporary, folder)
