"""What a recipe starts from, looked at before anything is read or made: models and tokenizers that lie here."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages.bleu import refuse_missing_bleu
from crosstune.languages.registry import split_direction
from crosstune.recipe import Recipe


def look_at(recipe: Recipe, stages: Collection[str]) -> None:
    """Check what a recipe starts from, and that this machine has what it asks for; nothing for the report alone.

    Every run of stages begins here, whichever command asks for it.

    Raises:
        BadInputError: with what is wrong.
    """
    if not set(stages) - {"report"}:
        return
    directions = [direction for task in recipe.evaluate.tasks.values() for direction in task.directions]
    refuse_missing_bleu(split_direction(direction)[1] for direction in directions)
    check_template(recipe)
    check_wordings(recipe)
    check_copies(recipe)
    check_inputs(recipe)
    if "train" in stages:
        check_machine(recipe)


def check_template(recipe: Recipe) -> None:
    """Render a question and its answer with the base tokenizer's chat template, where it is asked for and lies here.

    Tasks of the harness that ask in a chat template need one, too: of the base tokenizer, where nothing else is asked.

    Raises:
        BadInputError: when there is none, or it fails or asks otherwise than it answers.
    """
    base, root = recipe.tokenizer.base, recipe.data_root or Path()
    in_chat = [label for label, task in recipe.evaluate.tasks.items() if task.chat_template]
    if (recipe.data.prompt != "chat" and not in_chat) or base.kind != "given":
        return
    folder = next((folder / base.path for folder in (root, Path()) if (folder / base.path).exists()), None)
    if folder is None:
        return
    from crosstune.models.chat_template import source_of, template_of

    if recipe.data.prompt == "chat":
        template_of(recipe)
        return
    from crosstune.models.load import load_tokenizer

    asked = f"evaluate.tasks.{in_chat[0]} asks in the chat template"
    source_of(load_tokenizer(str(folder), base.revision), asked, "remove its chat_template (--chat-template)")


def check_wordings(recipe: Recipe) -> None:
    """Read the wordings that the recipe brings for instructions: what they lack shows before anything runs.

    Raises:
        BadInputError: when a file is not there, or with all that is wrong with one.
    """
    brought = {
        label: task for label, task in recipe.evaluate.tasks.items() if task.spec.judge == "rules" and task.paths
    }
    if not brought or recipe.data_root is None:
        return
    from crosstune.data import evaluation_sets
    from crosstune.tasks.answers.wordings import read_wordings

    for label, task in brought.items():
        paths, _ = evaluation_sets.files_of(task, recipe.data_root, f"evaluate.tasks.{label}.paths")
        read_wordings(paths[0], task.language or "")


def check_copies(recipe: Recipe) -> None:
    """Check that the folders are there that tasks of the harness take data sets from instead of the hub.

    Raises:
        BadInputError: when one is not.
    """
    for label, task in recipe.evaluate.tasks.items():
        copies = (recipe.data_root or Path()) / task.copies if task.copies else None
        if copies is not None and not copies.is_dir():
            raise BadInputError(
                f"evaluate.tasks.{label}.copies: {copies} is not a folder: give the one that holds OWNER/NAME of each "
                "data set, relative to data_root, or remove `copies` to take them from the hub"
            )


def check_inputs(recipe: Recipe) -> None:
    """Check the models that systems start from, without their weights, their base tokenizer and its chat template.

    All faults are told together. What lies on the hub is looked at when it is loaded.

    Raises:
        BadInputError: with what is wrong with each.
    """
    started = [name for name, system in recipe.systems.items() if system.start not in ("scratch", *recipe.systems)]
    merged = any(system.merge for system in recipe.systems.values())
    if not started and not merged and recipe.data.prompt != "chat":
        return
    # Imported here: only a recipe that starts from a model pays for torch at its dry run.
    from crosstune.models.process import prepare_libraries
    from crosstune.train.start import check_start

    prepare_libraries()
    base, faults = _base_tokenizer(recipe)
    for name in started:
        try:
            check_start(recipe, name, base)
        except BadInputError as error:
            text = str(error)
            faults.append(text if text.startswith("systems.") else f"systems.{name}.start: {text}")
    faults += _merge_faults(recipe) if not faults else []
    if base is not None and recipe.data.prompt == "chat":
        faults += _template_faults(recipe)
    if faults:
        raise BadInputError("\n".join(faults))


def _merge_faults(recipe: Recipe) -> list[str]:
    from crosstune.train.methods.merge_check import check_merge

    faults = []
    for name in recipe.systems:
        try:
            check_merge(recipe, name)
        except BadInputError as error:
            faults.append(str(error))
    return faults


def _template_faults(recipe: Recipe) -> list[str]:
    from crosstune.models.chat_template import template_of

    try:
        template_of(recipe)
    except BadInputError as error:
        text = str(error)
        return [text if text.startswith("data.") else f"data.prompt: {text}"]
    return []


def check_machine(recipe: Recipe) -> None:
    """Check that this machine has what the settings of training ask of it: extras, a kind of device, a compiler.

    Raises:
        BadInputError: with what is missing for the first setting that lacks something.
    """
    settings = recipe.train
    if settings.optimizer == "adamw" and {settings.precision, settings.weights, settings.base_weights} == {"float32"}:
        return
    # Imported here: only such a recipe pays for torch at its dry run.
    from crosstune.models.kernels.fp8 import check_fp8
    from crosstune.train.methods.base_weights import check_base_weights, launch_here
    from crosstune.train.methods.optimizer import check_optimizer

    launch = launch_here()
    check_optimizer(settings, launch)
    check_fp8(settings, launch, [phase for system in recipe.systems.values() for phase in system.phases])
    check_base_weights(settings, launch)


def _base_tokenizer(recipe: Recipe) -> tuple[Any, list[str]]:
    """Return the base tokenizer as transformers has it, where it lies here, and what is wrong with it."""
    from crosstune.tokenizer import given

    base, root = recipe.tokenizer.base, recipe.data_root or Path()
    # Without mixtures nothing is tokenized for training: `crosstune score` reads kinds that cannot be extended, too.
    if base.kind != "given" or not recipe.data.mixtures:
        return None, []
    if not any((folder / base.path).exists() for folder in (root, Path())):
        return None, []
    try:
        return given.as_loaded(given.find(base, root, "tokenizer.base.path").fetch(), "tokenizer.base.path"), []
    except BadInputError as error:
        return None, [str(error)]
