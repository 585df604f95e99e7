"""Which weights of a model move in a phase, and what keeps all others as they are."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import Phase
from crosstune.train.methods.regularizers import FrozenOldRows
from crosstune.train.new_rows.rows import input_matrix, matrices, output_bias, output_matrix


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
    output = _output(model)
    whole = output if "output_rows" in parts else []
    by_part = {"new_input_rows": [input_matrix(model)], "new_output_rows": output}
    named = [weight for part, weights in by_part.items() if part in parts for weight in weights]
    with_rows = [*matrices(model), *output[1:]]
    only_new = [weight for weight in with_rows if _is_in(weight, named) and not _is_in(weight, whole)]
    for matrix in [*whole, *only_new]:
        matrix.requires_grad_(True)
    if not only_new:
        return None
    assert old_size is not None
    return FrozenOldRows(only_new, old_size)


def _output(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return what the output head has for each piece: a row of its matrix, and a bias where there is one."""
    bias = output_bias(model)
    return [output_matrix(model), *([bias] if bias is not None else [])]


def _layers(model: PreTrainedModel, phase: Phase) -> list[nn.Parameter]:
    """Return the parameters of the layers that move; the norm behind the last one goes with it."""
    of_pieces = [*matrices(model), *_output(model)]
    inside = [(name, weight) for name, weight in model.named_parameters() if not _is_in(weight, of_pieces)]
    if "layers" in phase.trains:
        return [weight for _, weight in inside]
    if phase.num_top_layers is None:
        return []
    num_layers = int(model.config.get_text_config(decoder=True).num_hidden_layers)
    if phase.num_top_layers > num_layers:
        raise BadInputError(
            f"num_top_layers is {phase.num_top_layers}, but the model has {num_layers} layers: use fewer, or `trains: "
            f"[layers]`"
        )
    prefix = next(
        name for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == num_layers
    )
    first = f"{prefix}.{num_layers - phase.num_top_layers}."
    start = next(index for index, (name, _) in enumerate(inside) if name.startswith(first))
    return [weight for _, weight in inside[start:]]


def _is_in(matrix: Tensor, others: Sequence[Tensor]) -> bool:
    return any(matrix is other for other in others)
