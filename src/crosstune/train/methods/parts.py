"""Which weights of a model move in a phase, and what keeps all others as they are."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import Phase
from crosstune.train.methods.regularizers import FrozenOldRows
from crosstune.train.new_rows.rows import input_matrix, matrices, output_matrix


def choose_parts(model: PreTrainedModel, phase: Phase, old_size: int | None) -> FrozenOldRows | None:
    """Let the parts that ``phase.trains`` names require gradients, and nothing else; return the rows that stay.

    Tied matrices are one: it moves as far as any of the parts that name it says.

    Raises:
        BadInputError: when the model has fewer layers than are asked for.
    """
    parts = set(phase.trains)
    for parameter in model.parameters():
        parameter.requires_grad_("all" in parts)
    for parameter in _layers(model, phase):
        parameter.requires_grad_(True)
    whole = [output_matrix(model)] if "output_rows" in parts else []
    by_part = {"new_input_rows": input_matrix(model), "new_output_rows": output_matrix(model)}
    named = [matrix for part, matrix in by_part.items() if part in parts]
    only_new = [matrix for matrix in matrices(model) if _is_in(matrix, named) and not _is_in(matrix, whole)]
    for matrix in [*whole, *only_new]:
        matrix.requires_grad_(True)
    if not only_new:
        return None
    assert old_size is not None
    return FrozenOldRows(only_new, old_size)


def _layers(model: PreTrainedModel, phase: Phase) -> list[nn.Parameter]:
    """Return the parameters of the layers that move; the norm behind the last one goes with it."""
    inside = [(name, weight) for name, weight in model.named_parameters() if not _is_in(weight, matrices(model))]
    if "layers" in phase.trains:
        return [weight for _, weight in inside]
    if phase.num_top_layers is None:
        return []
    num_layers = int(model.config.get_text_config(decoder=True).num_hidden_layers)
    if phase.num_top_layers > num_layers:
        raise BadInputError(
            f"num_top_layers is {phase.num_top_layers}, but the model has {num_layers} layers: ask for fewer, or for "
            "`trains: [layers]`"
        )
    prefix = next(
        name for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == num_layers
    )
    first = f"{prefix}.{num_layers - phase.num_top_layers}."
    start = next(index for index, (name, _) in enumerate(inside) if name.startswith(first))
    return [weight for _, weight in inside[start:]]


def _is_in(matrix: Tensor, others: Sequence[Tensor]) -> bool:
    return any(matrix is other for other in others)
