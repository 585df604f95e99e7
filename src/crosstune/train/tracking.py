"""TensorBoard and Weights & Biases, where the recipe asks for them; metrics.jsonl is written in any case."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe


def make_accelerator(recipe: Recipe, system: str, folder: Path) -> Accelerator:
    """Return the accelerator of a system's training, logging to the recipe's trackers under the system's name.

    Raises:
        BadInputError: when a tracker is not installed.
    """
    trackers = recipe.train.trackers
    missing = [tracker for tracker in trackers if importlib.util.find_spec(tracker) is None]
    if missing:
        raise BadInputError(
            f"train.trackers asks for {', '.join(missing)}, which is not installed: pip install 'crosstune[track]', or "
            "remove it (metrics.jsonl is written in any case)"
        )
    accelerator = Accelerator(
        mixed_precision="bf16" if recipe.train.precision == "bf16" else "no",
        log_with=list(trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "tracking")),
    )
    if trackers:
        # TensorBoard makes a folder of the name, W&B a project with a run.
        accelerator.init_trackers(recipe.name, init_kwargs={"wandb": {"name": system, "dir": str(folder)}})
    return accelerator


def log(accelerator: Accelerator, done: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> None:
    """Hand a row of metrics or validation to the trackers; steps count on over the stages that are ``done``."""
    if accelerator.trackers:
        step = row["step"] + sum(stage["steps"] for stage in done)
        accelerator.log(dict(_flat(row)), step=step)


def _flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Return the numbers of nested rows under names like ``sources/alpaca/loss``."""
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}/")
        elif key not in ("stage", "step"):
            found.append((f"{prefix}{key}", value))
    return found
