"""Products in eight bits, on GPUs that have them: torchao's float8 layers in the place of linear ones.

Inputs, weights and gradients are scaled by their largest magnitude and rounded to eight bits before each product
(Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433); the weights themselves stay as they are.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import nn

from crosstune.errors import BadInputError
from crosstune.models.kernels.fused_chains import c_compiler
from crosstune.models.kernels.skip_unused_positions import last_layer
from crosstune.recipe import Phase, Train

# NVIDIA's Ada and Hopper.
_FIRST_CAPABILITY = (8, 9)
_MULTIPLE = 16


def check_fp8(settings: Train, accelerator: Any, phases: Sequence[Phase]) -> None:
    """Stop before anything is read where products in eight bits cannot work.

    Raises:
        BadInputError: when `train.precision` is fp8 and torchao, such a GPU or a C compiler is lacking, a phase trains
            adapters, or weights are split over GPUs.
    """
    if settings.precision != "fp8":
        return
    instead = "set train.precision=bf16, which takes about an eighth longer"
    if find_spec("torchao") is None:
        raise BadInputError(
            "train.precision=fp8 needs torchao, which is not installed: pip install 'crosstune[eight_bit]', or "
            f"{instead}"
        )
    if accelerator.device.type != "cuda" or torch.cuda.get_device_capability() < _FIRST_CAPABILITY:
        raise BadInputError(
            "train.precision=fp8 needs a GPU with fp8 (NVIDIA Ada, Hopper or later), and training "
            f"runs on {accelerator.device.type}: {instead}"
        )
    if not c_compiler():
        raise BadInputError(
            "train.precision=fp8 compiles the rounding to eight bits, which needs a C compiler, and neither $CC nor "
            f"gcc nor clang was found: install one (apt-get install gcc), or {instead}"
        )
    if accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_GPU):
        raise BadInputError(
            f"train.precision=fp8 needs unsharded weights, but was launched with {accelerator.distributed_type.value}, "
            f"which shards them: {instead}"
        )
    if any(phase.lora is not None for phase in phases):
        raise BadInputError(f"train.precision=fp8 needs `method: full`, and a phase trains adapters: {instead}")


def multiply_in_fp8(model: nn.Module, emulated: bool = False) -> None:
    """Let a model's linear layers multiply in eight bits from now on; ``emulated`` on any device, slowly.

    The output head and the last layer of LLaMA's family stay as they are: they compute as many positions as are read,
    and the gradient of a weight in eight bits needs a multiple of 16, as `loss.predicted_logits` lays out.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training  # an extra
    from torchao.float8.float8_linear import Float8Linear

    narrowed = {model.get_output_embeddings()}  # type: ignore[operator]
    if (layer := last_layer(model)) is not None:
        narrowed |= set(layer.modules())

    def is_converted(part: nn.Module, _name: str) -> bool:
        return part not in narrowed and not any(size % _MULTIPLE for size in part.weight.shape)  # type: ignore[union-attr]

    config = Float8LinearConfig(emulate=emulated)
    convert_to_float8_training(model, config=config, module_filter_fn=is_converted)
    for part in model.modules():
        if isinstance(part, Float8Linear) and not emulated:
            part.compile(dynamic=True)
