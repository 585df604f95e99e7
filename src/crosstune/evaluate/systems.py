"""A trained system, as the train stage left it, and its model and tokenizer in memory."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import RunFolderError
from crosstune.evaluate import ranks
from crosstune.models.jinja_templates import FILE
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.precision import Precision
from crosstune.runs.files import read_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import damage_to


@dataclass(frozen=True)
class TrainedSystem:
    """Where a system's model and tokenizer lie, and the fingerprint of how they came about and what they hold.

    Attributes:
        is_trained: whether the run made the model; others are used as they are.
    """

    name: str
    model: str
    revision: str | None
    tokenizer: str
    fingerprint: str
    is_trained: bool = True


def find_system(run: RunFolder, name: str) -> TrainedSystem:
    """Read a system's ``system.json``.

    Raises:
        RunFolderError: when the system is not trained yet, or its model was damaged or changed since.
    """
    path = run.system(name) / "system.json"
    if not path.is_file():
        trained = sorted(found.parent.name for found in run.root.glob("systems/*/system.json"))
        raise RunFolderError(
            f"system {name!r} cannot be evaluated: {path} is missing, so it is not trained yet. Trained so far: "
            f"{', '.join(trained) or 'none'}. Run `crosstune train RECIPE` (or `crosstune run RECIPE`) first."
        )
    facts = read_json(path)
    model = run.locate(facts["model"])
    damage = damage_to(Path(model), facts["files"])
    if damage:
        raise RunFolderError(
            f"system {name!r} cannot be evaluated: {model} is not what training left: {'; '.join(damage)}. Put a "
            f"complete copy there, or delete {path} and run `crosstune run RECIPE` again"
        )
    made_from = fingerprint("system", facts["fingerprint"], facts["files"])
    is_trained = Path(model).absolute() == (run.system(name) / "model").absolute()
    return TrainedSystem(name, model, facts.get("revision"), run.locate(facts["tokenizer"]), made_from, is_trained)


def load_system(system: TrainedSystem, precision: Precision) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a system's model, onto this process's GPU where there is one, and its tokenizer with its chat template."""
    prepare_libraries()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    tokenizer = load_tokenizer(system.tokenizer)
    own_template = Path(system.model) / FILE
    if system.is_trained and own_template.is_file():
        # The form that it was trained in; the tokenizer's folder has the base's.
        tokenizer.chat_template = own_template.read_text(encoding="utf-8")
    model = load_model(system.model, system.revision, dtype)
    model.to(ranks.device())  # type: ignore[arg-type]
    return model, tokenizer
