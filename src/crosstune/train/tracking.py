"""TensorBoard and Weights & Biases, where the recipe asks for them; metrics.jsonl is written in any case."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import ProjectConfiguration
from torch.distributed.fsdp import MixedPrecisionPolicy

from crosstune.errors import BadInputError, RunFolderError
from crosstune.recipe import Recipe
from crosstune.runs import ranks
from crosstune.terminal.output import note
from crosstune.train.methods.deepspeed import load_models_whole


def make_accelerator(recipe: Recipe, system: str, folder: Path) -> Accelerator:
    """Return the accelerator of a system's training, logging to the recipe's trackers under the system's name.

    Raises:
        BadInputError: when a tracker is not installed, or W&B cannot begin: without a login, or out of its reach.
    """
    trackers = recipe.train.trackers
    missing = [tracker for tracker in trackers if importlib.util.find_spec(tracker) is None]
    if missing:
        raise BadInputError(
            f"train.trackers asks for {', '.join(missing)}, which is not installed: pip install 'crosstune[track]', or "
            "remove it (metrics.jsonl is written in any case)"
        )
    precision = "bf16" if recipe.train.precision != "float32" else "no"
    if is_initialized() and AcceleratorState().mixed_precision != precision:
        # accelerate keeps the precision of a process's first training, and refuses another.
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=precision,
        log_with=list(trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "tracking")),
    )
    _refuse_processes_that_count_alone(accelerator)
    load_models_whole(accelerator)
    if accelerator.is_fsdp2 and recipe.train.precision == "bf16":
        # As accelerate would have it, gradients would be added up over ranks in bf16.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        accelerator.state.fsdp_plugin.mixed_precision_policy = policy
    # TensorBoard makes a folder of the name, W&B a project with a run.
    if "wandb" in trackers:
        _begin_with_wandb(accelerator, recipe, system, folder)
    elif trackers:
        accelerator.init_trackers(recipe.name)
    return accelerator


def _refuse_processes_that_count_alone(accelerator: Accelerator) -> None:
    """Stop where a launcher started several processes and accelerate has each train on its own, into one folder."""
    if ranks.num_ranks() != accelerator.num_processes:
        raise RunFolderError(
            f"{ranks.num_ranks()} processes were launched, but accelerate counts {accelerator.num_processes}: each "
            f"would train everything into the same folder. Without GPUs set ACCELERATE_USE_CPU=true, or launch one "
            f"process"
        )


def _begin_with_wandb(accelerator: Accelerator, recipe: Recipe, system: str, folder: Path) -> None:
    import wandb  # an extra

    settings = {
        "seed": recipe.seed_of(system),
        "system": recipe.systems[system].model_dump(mode="json"),
        "train": recipe.train.model_dump(mode="json"),
    }
    run = {"name": system, "dir": str(folder), "config": settings}
    folder.mkdir(parents=True, exist_ok=True)  # else its files go to a temporary folder
    try:
        if accelerator.is_main_process:
            # What it prints would stand between our lines, and what we print is no news to it. As settings of a run
            # these would not silence what it says of other packages that it finds in use.
            wandb.setup(settings=wandb.Settings(silent=True, console="off"))
        accelerator.init_trackers(recipe.name, init_kwargs={"wandb": run})
    except wandb.errors.Error as error:
        raise BadInputError(
            f"train.trackers asks for wandb, which cannot start: {error} Or set WANDB_MODE=offline, and upload the "
            f"run later with `wandb sync`; or remove it (metrics.jsonl is written in any case)"
        ) from None
    if accelerator.is_main_process:
        begun = accelerator.get_tracker("wandb", unwrap=True)
        note(f"{system}: W&B: {Path(begun.dir).parent if begun.offline else begun.url}")


def log(accelerator: Accelerator, done: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> None:
    """Hand a row of metrics or validation to the trackers; steps count on over the phases that are ``done``."""
    if accelerator.trackers:
        step = row["step"] + sum(phase["steps"] for phase in done)
        accelerator.log(dict(_flat(row)), step=step)


def _flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Return the numbers of nested rows under names like ``sources/alpaca/loss``."""
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}/")
        elif key not in ("phase", "step"):
            found.append((f"{prefix}{key}", value))
    return found
