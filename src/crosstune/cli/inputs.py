"""What a recipe starts from, looked at before anything is read or made: models and tokenizers that lie here."""

from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe


def check_inputs(recipe: Recipe) -> None:
    """Check the models that systems start from, without their weights, and that each fits the base tokenizer.

    All faults are told together. What lies on the hub is looked at when it is loaded.

    Raises:
        BadInputError: with what is wrong with each.
    """
    started = [name for name, system in recipe.systems.items() if system.start not in ("scratch", *recipe.systems)]
    if not started:
        return
    # Imported here: only a recipe that starts from a model pays for torch at its dry run.
    from crosstune.models.process import prepare_libraries
    from crosstune.train.start import check_start

    prepare_libraries()
    faults = []
    for name in started:
        try:
            check_start(recipe, name)
        except BadInputError as error:
            text = str(error)
            faults.append(text if text.startswith("systems.") else f"systems.{name}.start: {text}")
    faults += _tokenizer_faults(recipe)
    if faults:
        raise BadInputError("\n".join(faults))


def _tokenizer_faults(recipe: Recipe) -> list[str]:
    from crosstune.tokenizer import given

    base, root = recipe.tokenizer.base, recipe.data_root or Path()
    if base.kind != "given" or not any((folder / base.path).exists() for folder in (root, Path())):
        return []
    try:
        given.load(given.find(base, root, "tokenizer.base.path").fetch(), "tokenizer.base.path")
    except BadInputError as error:
        return [str(error)]
    return []
