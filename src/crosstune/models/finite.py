"""Numbers that are not finite stop what would compute with them, in weights and in what a model says."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from crosstune.errors import BadInputError

_MAX_NAMED = 8


class NotFiniteError(BadInputError):
    """A model gave a number that is not finite: comparisons with it are false, and an answer is chosen all the same.

    Attributes:
        index: of the first such row among those that the model was asked of.
        value: the number: a log-probability, or NaN for logits that hold some.
    """

    def __init__(self, index: int, value: float = math.nan) -> None:
        """Name the row; who knows what it was asked for can say more."""
        super().__init__(f"the model's answer to row {index} is {value}, which is no finite number")
        self.index, self.value = index, value


def is_finite(tensor: Tensor) -> bool:
    """Return whether a tensor holds neither NaN nor infinity; nothing of its size is made in memory."""
    if not tensor.numel() or not tensor.is_floating_point():
        return True
    low, high = tensor.aminmax()
    return bool(torch.isfinite(low) & torch.isfinite(high))


def refuse_not_finite(model: nn.Module, what: str, remedy: str) -> None:
    """Stop where a model holds weights that are not finite.

    Raises:
        BadInputError: with their names; ``what`` begins the message, ``remedy`` ends it.
    """
    weights = [*model.named_parameters(), *model.named_buffers()]
    bad = [name for name, tensor in weights if not tensor.is_meta and not is_finite(tensor.detach())]
    if bad:
        raise BadInputError(
            f"{what} holds numbers that are not finite (NaN or infinity) in {len(bad)} of {len(weights)} tensors: "
            f"{named(bad)}. {remedy}"
        )


def not_finite_message(model: str, task: str, item: str) -> str:
    """Return what is said where a model's answer to an item of a task rests on numbers that are not finite."""
    return (
        f"{model} gave no finite number for {task}, item {item}: its logits are NaN or infinite, so that nothing can "
        "be read from them. Its weights are finite, so a number on the way is too large: in bf16 or float16, use "
        "float32 (evaluate.precision; --precision); otherwise the weights are damaged: look at how they were made"
    )


def named(names: Iterable[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    found = sorted(names)
    more = len(found) - _MAX_NAMED
    return ", ".join(found[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
