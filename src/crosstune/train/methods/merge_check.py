"""Whether models can be merged, as far as their shapes tell, before anything is trained."""

from transformers import LlamaForCausalLM, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.load import check_model
from crosstune.models.shapes import shapes_only
from crosstune.recipe import Recipe
from crosstune.train.methods.merge import Partner, refuse_other_shapes
from crosstune.train.start import first_of, locate_start, scratch_config

# Of a model from scratch: how many pieces its tokenizer will have does not matter here.
_SOME_PIECES = 8


def check_merge(recipe: Recipe, name: str) -> None:
    """Check that the models that a system is merged with have its shape; the hub is not asked before training.

    Raises:
        BadInputError: when they have not.
    """
    settings = recipe.systems[name].merge
    model = _skeleton(recipe, name) if settings else None
    if settings is None or model is None:
        return
    for setting, other in settings.others().items():
        theirs = _skeleton(recipe, other)
        if theirs is not None:
            try:
                refuse_other_shapes(model, Partner(other, theirs))
            except BadInputError as error:
                raise BadInputError(f"systems.{name}.merge.{setting}: {error}") from None


def _skeleton(recipe: Recipe, name: str) -> PreTrainedModel | None:
    """Return a system's model without weights; None of one on the hub."""
    name = first_of(recipe, name)
    system = recipe.systems[name]
    if system.start == "scratch":
        with shapes_only():
            return LlamaForCausalLM(scratch_config(system, _SOME_PIECES, (1, 2)))
    path, revision = locate_start(recipe, name)
    return None if revision else check_model(path)
