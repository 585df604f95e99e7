"""Experts of a mixture: how many of a model's weights are theirs, and which share of them works on a token."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

_NUMBER = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts")


def num_expert_weights(model: PreTrainedModel, only_trained: bool = False) -> int:
    """Return how many weights lie in stacks of experts, [experts, rows, columns], which are no linear layers."""
    number = _setting(model, _NUMBER)
    stacks = (weight for name, part in model.named_modules() for weight in _stacks(name, part, number))
    return sum(weight.numel() for weight in stacks if weight.requires_grad or not only_trained)


def weights_at_work(model: PreTrainedModel) -> dict[nn.Module, float]:
    """Return how many weights of matrices each module has that work on a token: of experts those that it is sent to."""
    number, chosen = _setting(model, _NUMBER), _setting(model, _CHOSEN)
    share = min(1.0, chosen / number) if number and chosen else 1.0
    found: dict[nn.Module, float] = {}
    for name, part in model.named_modules():
        stacked = sum(weight.numel() for weight in _stacks(name, part, number))
        if stacked:
            found[part] = share * stacked
        elif isinstance(part, nn.Linear):
            # By its sizes: a packed one has no such weight.
            found[part] = part.in_features * part.out_features * (share if is_one_of_experts(name) else 1.0)
        elif isinstance(part, Conv1D):  # GPT-2's matrices
            found[part] = part.weight.numel()
    return found


def _stacks(name: str, part: nn.Module, number: int) -> Iterator[nn.Parameter]:
    """Yield a module's own parameters that hold a matrix for each expert; a convolution's are no such."""
    if isinstance(part, _ConvNd):
        return
    of_experts = "experts" in name.split(".")
    for weight in part.parameters(recurse=False):
        is_stack = weight.dim() == 3 and (of_experts or len(weight) == number)
        # DBRX has the rows of all experts one below the other.
        if is_stack or (of_experts and weight.dim() == 2 and _is_tall(part, weight, number)):
            yield weight


def _is_tall(part: nn.Module, weight: nn.Parameter, number: int) -> bool:
    return not isinstance(part, nn.Linear) and number > 0 and len(weight) > number and len(weight) % number == 0


def is_one_of_experts(name: str) -> bool:
    """Return whether a module of this name belongs to one expert of a list."""
    path = name.split(".")
    return any(part == "experts" and following.isdigit() for part, following in pairwise(path))


def _setting(model: PreTrainedModel, names: tuple[str, ...]) -> int:
    config: Any = model.config.get_text_config(decoder=True)
    # DBRX says it of its feed-forward layers.
    places = (config, getattr(config, "ffn_config", None))
    return next((value for at in places for name in names if isinstance(value := getattr(at, name, None), int)), 0)
