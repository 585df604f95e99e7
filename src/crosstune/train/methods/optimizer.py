"""The optimizer of a phase: AdamW, with moments in float32 or in one byte each."""

import math
import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor, nn

from crosstune.errors import BadInputError
from crosstune.models.kernels.fused_chains import c_compiler
from crosstune.recipe import Phase, Train

# As torchao stores moments (https://arxiv.org/abs/2110.02861): a byte for each value, a float32 scale for every 256 of
# them, and a table of what the bytes mean. Small tensors, and those that blocks do not divide, keep theirs in float32.
_BLOCK = 256
_SMALLEST = 4096
_LOOKUP_BYTES = 256 * 4
_FLOAT = 4
_OF_PEFT = "trainable_tokens_"
# Stored in two dimensions or three: biases of experts (gpt-oss) and of gates, logarithms of Mamba's rates of decay,
# which its authors spare, too, and RWKV's shares of the token before.
_NO_MATRIX = re.compile(r"(bias|\bA_log|\btime_mix_\w+)$")


def check_optimizer(settings: Train, accelerator: Any) -> None:
    """Stop before anything is read where the optimizer of the recipe cannot work.

    Raises:
        BadInputError: when moments in bytes, or weights in bf16, lack torchao, or on a GPU a C compiler, or were
            launched with an engine that they do not go with.
    """
    if settings.optimizer == "adamw" and settings.weights == "float32":
        return
    asked, instead = "train.optimizer=adamw_8bit", "set train.optimizer=adamw, which takes 8 bytes per trained weight"
    if settings.weights == "bf16":
        asked, instead = "train.weights=bf16", "set train.weights=float32, which takes 4 bytes a weight instead of 2"
    if find_spec("torchao") is None:
        raise BadInputError(
            f"{asked} needs torchao, which is not installed: pip install 'crosstune[eight_bit]', or {instead}"
        )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        raise BadInputError(
            f"{asked} was launched with DeepSpeed, whose engine flattens the weights that the moments belong to: "
            f"launch with FSDP2 (recipes/launch/one_node_8_gpus.yaml), or {instead}"
        )
    if settings.weights == "bf16" and accelerator.distributed_type == DistributedType.FSDP:
        raise BadInputError(
            f"{asked} was launched with FSDP, which splits weights in float32 here: launch it without (torchrun "
            f"--nproc-per-node N -m crosstune ...), or {instead}"
        )
    if accelerator.device.type == "cuda" and not c_compiler():
        raise BadInputError(
            f"{asked} compiles its step on a GPU, which needs a C compiler, and neither $CC nor gcc nor clang was "
            f"found: install one (apt-get install gcc), or {instead}"
        )


def make_optimizer(model: nn.Module, phase: Phase, settings: Train) -> torch.optim.Optimizer:
    """Return AdamW over what is trained; weight decay is for matrices, not for norms, biases and rates of decay."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    matrices = [weight for name, weight in trained if _decays(name, weight)]
    spared = [weight for name, weight in trained if not _decays(name, weight)]
    others: dict[str, Any] = {"params": spared, "weight_decay": 0.0}
    usual: dict[str, Any] = {"lr": phase.learning_rate, "betas": phase.adam_betas}
    if settings.optimizer == "adamw" and settings.weights == "float32":
        groups = [{"params": matrices, "weight_decay": phase.weight_decay}, others]
        return torch.optim.AdamW([group for group in groups if group["params"]], **usual, fused=True)
    # Not above: torchao is an extra, and takes seconds to load.
    from crosstune.train.methods.eight_bit import EightBitAdamW

    whole = _with_moments_in_float32(model, settings)
    groups = [
        {
            "params": [weight for weight in matrices if (id(weight) in whole) == in_float32],
            "weight_decay": phase.weight_decay,
            "in_float32": in_float32,
        }
        for in_float32 in (False, True)
    ]
    others["in_float32"] = settings.weights == "bf16"
    chosen = [group for group in (*groups, others) if group["params"]]
    return EightBitAdamW(chosen, **usual, bf16_stochastic_round=settings.weights == "bf16")


def _decays(name: str, weight: Tensor) -> bool:
    return weight.ndim >= 2 and not _NO_MATRIX.search(name)


def _with_moments_in_float32(model: nn.Module, settings: Train) -> frozenset[int]:
    """Return the ids of matrices whose moments are not in bytes, and which the optimizer is to be told of.

    torchao keeps those of small ones, and of those that blocks do not divide, in the type of the weight.
    """
    if settings.weights == "float32":
        return _tables(model)
    small = {
        id(weight)
        for weight in _trained(model)
        if settings.optimizer == "adamw" or weight.numel() < _SMALLEST or weight.numel() % _BLOCK
    }
    return _tables(model) | small


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step have this learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # of a compiled step, which a number would have compiled anew
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def bytes_of_moments(model: nn.Module, settings: Train, num_shards: int = 1) -> float:
    """Return the bytes of both moments of all that is trained, on each of so many ranks that split the rows."""
    tables = _tables(model) if settings.optimizer == "adamw_8bit" else frozenset()
    return sum(
        _bytes_in_blocks(weight.shape, num_shards)
        if settings.optimizer == "adamw_8bit" and id(weight) not in tables
        else 2 * _FLOAT * weight.numel() / num_shards
        for weight in _trained(model)
    )


def _bytes_in_blocks(shape: Sequence[int], num_shards: int) -> float:
    num_values = math.ceil(shape[0] / num_shards) * math.prod(shape[1:])
    if num_values < _SMALLEST or num_values % _BLOCK:
        return 2 * _FLOAT * num_values
    return 2 * (num_values + _FLOAT * num_values / _BLOCK + _LOOKUP_BYTES)


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _tables(model: nn.Module) -> frozenset[int]:
    """Return the ids of embedding matrices and of peft's new rows: a batch has a gradient for some of their rows only.

    In the other rows a first moment would be divided by a second that a byte rounds to 0: with such gradients as a
    test makes, weights went eight times as far in thirty steps as any does with AdamW. The paper keeps the moments of
    embeddings in float32, too (section 2.3).
    """
    embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    return frozenset(embeddings | {id(weight) for name, weight in model.named_parameters() if _OF_PEFT in name})
