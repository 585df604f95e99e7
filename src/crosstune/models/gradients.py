"""The gradients that the self-test compares: of all weights of a small model, of some layers of a large one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from crosstune.models.layers import inner_model, kinds_of_layers, layers_of
from crosstune.models.plain_rows import largest_difference

Gradients = dict[str, Tensor]
_NUM_SAMPLED = 2**16
# Of more weights that move, gradients are looked at in some layers: those of 7 billion take longer than all the rest.
MANY_WEIGHTS = 2**25
# torchao's layers for products in eight bits: compiled for weights that move, and again for those that do not.
SCALED_BY_ROWS = "Float8Linear"


@contextmanager
def gradients_of_its_own(model: nn.Module) -> Iterator[None]:
    """Set the gradients of a model's weights aside while in this context."""
    before = [(weight, weight.grad) for weight in model.parameters()]
    model.zero_grad(set_to_none=True)
    try:
        yield
    finally:
        for weight, gradient in before:
            weight.grad = gradient


@contextmanager
def few_that_move(model: nn.Module) -> Iterator[None]:
    """Let gradients be computed where they are looked at, while in this context: everywhere in a small model.

    In a large one these are the weights outside of layers, and those of the first and the last layer of each kind. A
    gradient that goes wrong in a layer between them goes on to the first, by its states.
    """
    moving = [weight for weight in model.parameters() if weight.requires_grad]
    is_narrow = any(type(part).__name__ == SCALED_BY_ROWS for part in model.modules())
    passed_by: list[nn.Parameter] = []
    if sum(weight.numel() for weight in moving) > MANY_WEIGHTS and not is_narrow:
        kept = {id(weight) for layer in _looked_at(model) for weight in layer.parameters()}
        inside = {id(weight) for weight in layers_of(model).parameters()}
        passed_by = [weight for weight in moving if id(weight) in inside - kept]
    for weight in passed_by:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in passed_by:
            weight.requires_grad_(True)


def sampled_gradients(model: nn.Module) -> Gradients:
    """Return some numbers of each weight's gradient, and its norm."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            gradient = weight.grad if weight.grad is not None else torch.zeros(1)
            flat = getattr(gradient, "to_local", lambda kept=gradient: kept)().detach().flatten().float()
            sample = flat[:: max(1, len(flat) // _NUM_SAMPLED)]
            found[name] = torch.cat([sample, flat.norm()[None]]).cpu()
    return found


def largest_of_weights(expected: Gradients, found: Gradients) -> float:
    """Return the largest difference of a weight's gradient over its largest value, or a thousandth of the largest."""
    overall = max((float(gradient.abs().max()) for gradient in expected.values()), default=0.0)
    if not overall:
        return 0.0
    return max(
        largest_difference(*_of_one_length(gradient, found[name])) / (float(gradient.abs().max()) + 1e-3 * overall)
        for name, gradient in expected.items()
    )


def _looked_at(model: nn.Module) -> list[nn.Module]:
    """Return the first and the last layer of each kind: of the same parts, and of one name in the configuration."""
    layers, kinds = layers_of(model), kinds_of_layers(model)
    named = getattr(inner_model(model).config.get_text_config(decoder=True), "layer_types", None) or []
    of_each = [(named[index] if index < len(named) else None, kind) for index, kind in enumerate(kinds)]
    last = {kind: index for index, kind in enumerate(of_each)}
    first = {kind: index for index, kind in reversed(list(enumerate(of_each)))}
    return [layers[index] for index in sorted({*first.values(), *last.values()})]


def _of_one_length(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return two samples; of a weight that was not reached only zeros were taken."""
    length = max(len(left), len(right))
    return tuple(part if len(part) == length else part.new_zeros(length) for part in (left, right))  # type: ignore[return-value]
