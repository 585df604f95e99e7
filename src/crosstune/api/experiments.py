"""Recipes and runs: load a recipe, run its stages, estimate what training costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.api.arguments import several, within
from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import console, results
from crosstune.terminal.output import quiet as silent

if TYPE_CHECKING:
    from crosstune.recipe import Recipe


def load_recipe(recipe: str | Path, overrides: Mapping[str, Any] | None = None, *, quick: bool = False) -> "Recipe":
    """Read a recipe file, or a recipe that comes with crosstune by its name, as ``miniature``.

    Args:
        recipe: a YAML file, or a name of `list_recipes`.
        overrides: settings that replace the recipe's, by their dotted names: ``{"seed": 2, "data_root": "data"}``.
        quick: the smaller run that the recipe's ``quick`` section describes.

    Raises:
        RecipeError: with every mistake and its place.
    """
    import json

    from crosstune.recipe import yaml_file

    texts = [f"{name}={_as_text(value, json.dumps)}" for name, value in (overrides or {}).items()]
    return yaml_file.load_recipe(Path(recipe), texts, quick=quick)


def _as_text(value: Any, dump: Any) -> str:
    return str(value) if isinstance(value, Path) else str(dump(value, ensure_ascii=False))


def list_recipes() -> dict[str, str]:
    """Return the recipes that come with crosstune, with a description of each."""
    from crosstune.recipe import shipped, yaml_file

    return {name: yaml_file.description_of(path) for name, path in shipped.recipes().items()}


def run(
    recipe: "Recipe",
    stages: Sequence[str] = pipeline.STAGE_NAMES,
    *,
    update: bool = False,
    quiet: bool = False,
    command: str = "crosstune.run(recipe)",
) -> RunFolder:
    """Run a recipe's stages, all of them by default; what is there for the same inputs and settings is skipped.

    Args:
        recipe: as `load_recipe` returns it.
        stages: some of ``data``, ``tokenizer``, ``train``, ``evaluate``, ``report``, in this order.
        update: continue in a run folder whose recipe was different.
        quiet: print nothing.
        command: what the report says the run was started with.

    Returns:
        The run's folder, as for `read_report`.

    Raises:
        CrosstuneError: with what is wrong, and what to do.
    """
    with silent(console, quiet), silent(results, quiet):
        return pipeline.run_stages(recipe, _in_order(stages), command, update)


def check(recipe: "Recipe", stages: Sequence[str] = pipeline.STAGE_NAMES) -> None:
    """Check what a recipe starts from, and that this machine has what it asks for, before anything is made.

    Raises:
        CrosstuneError: with what is wrong.
    """
    pipeline.check_inputs(recipe, _in_order(stages))


def _in_order(stages: Sequence[str]) -> Sequence[str]:
    """Return stages that are some of a run's, in its order.

    Raises:
        BadInputError: for others.
    """
    from crosstune.errors import BadInputError

    if [name for name in pipeline.STAGE_NAMES if name in several("stages", stages)] != list(stages):
        raise BadInputError(
            f"stages {list(stages)}: give some of {', '.join(pipeline.STAGE_NAMES)}, in this order and each once"
        )
    return stages


def train_systems(recipe: "Recipe", *, update: bool = False, quiet: bool = False) -> RunFolder:
    """Make a recipe's data and tokenizers and train its systems; evaluate and report nothing."""
    return run(recipe, ("data", "tokenizer", "train"), update=update, quiet=quiet)


def plan_training(recipe: "Recipe", gpu: str = "here", num_gpus: int = 1, *, mfu: float = 0.4) -> dict[str, Any]:
    """Estimate the operations, hours and memory of each phase, before anything is trained.

    Makes the mixtures and tokenizers if they are not there.

    Args:
        recipe: as `load_recipe` returns it.
        gpu: by its data sheet, a name of ``crosstune plan --help``; "here" measures this machine for some ten seconds.
        num_gpus: how many, over all nodes.
        mfu: the share of the peak rate that training reaches on a GPU that is named.

    Returns:
        What ``crosstune plan --json`` prints.
    """
    within(1, num_gpus=num_gpus)
    within(0.01, 1, mfu=mfu)
    from crosstune.errors import BadInputError
    from crosstune.plan.here import this_machine
    from crosstune.plan.machines import GPUS, Machine
    from crosstune.plan.plan import make_plan
    from crosstune.plan.print_plan import to_json

    gpu = gpu.lower()
    if gpu not in (*GPUS, "here"):
        raise BadInputError(f"{gpu!r} is not a known GPU; choose one of here, {', '.join(GPUS)}")
    with pipeline.stages_run(recipe, ("data", "tokenizer"), "crosstune.plan_training(recipe)", False) as folder:
        machine = this_machine(num_gpus) if gpu == "here" else Machine(GPUS[gpu], num_gpus, mfu)
        return to_json(make_plan(recipe, folder, machine), machine)
