"""Phases whose weights mostly stay: these in fewer bits, where the recipe asks for it."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor

from crosstune.errors import BadInputError
from crosstune.models.experts import num_expert_weights
from crosstune.models.frozen import Kind
from crosstune.models.half_weights import halve_weights
from crosstune.models.layers import inner_model
from crosstune.models.pack_weights import pack, pack_frozen_weights
from crosstune.recipe import Train
from crosstune.terminal.output import note
from crosstune.train.methods.trainable import Trainable, log_probabilities

# What a normal distribution comes back by, in its norm, is 9 % in four bits and 0.7 % in eight.
_TOLERANCE: dict[Kind, float] = {"nf4": 0.2, "int8": 0.02}
# At least four times what SmolLM2-135M moved by on five short texts: 1e-4, 0.004 and 0.48.
_LARGEST_DIVERGENCE: dict[Kind, float] = {"bf16": 0.02, "int8": 0.1, "nf4": 2.0}


@dataclass(frozen=True)
class Launch:
    """How training would be launched here: what the checks of settings ask of accelerate, before there is any."""

    device: torch.device
    distributed_type: DistributedType
    num_processes: int = 1


def launch_here() -> Launch:
    """Return the device that training takes here, and whether its launcher splits weights."""

    def is_set(name: str) -> bool:
        return os.environ.get(name, "").lower() in ("1", "true", "yes")

    kinds = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
    device = next((kind for kind, is_there in kinds if is_there and not is_set("ACCELERATE_USE_CPU")), "cpu")
    split = DistributedType.DEEPSPEED if is_set("ACCELERATE_USE_DEEPSPEED") else DistributedType.NO
    return Launch(torch.device(device), DistributedType.FSDP if is_set("ACCELERATE_USE_FSDP") else split)


def check_base_weights(settings: Train, launch: Any) -> None:
    """Stop before anything is read where frozen weights cannot be in the precision that was asked for.

    ``launch`` is an accelerator, or a `Launch`.

    Raises:
        BadInputError: without bitsandbytes where that is needed, on a device that it does not work on, and where
            weights are split over processes.
    """
    kind = settings.base_weights
    if kind == "float32":
        return
    asked = f"train.base_weights={kind}"
    if launch.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        raise BadInputError(
            f"{asked} was launched with {launch.distributed_type.value}, which splits weights of one type only: "
            f"launch with DDP instead: torchrun --nproc-per-node N -m crosstune ...; or set train.base_weights=float32"
        )
    if kind == "bf16":
        return
    if find_spec("bitsandbytes") is None:
        raise BadInputError(
            f"{asked} needs bitsandbytes, which is not installed: pip install 'crosstune[quantized]', or set "
            "train.base_weights=bf16, which needs no extra and takes 2 bytes per weight"
        )
    if fault := _fault(kind, launch.device):
        raise BadInputError(
            f"{asked} packs weights by bitsandbytes, which does not work on this machine's "
            f"{launch.device.type} ({fault}): set train.base_weights=bf16, or train on an NVIDIA or AMD GPU or a CPU"
        )


def narrow_weights(trainable: Trainable, settings: Train) -> Trainable:
    """Put weights, those that move and those that do not, into the precision that is asked for, where they stand.

    Raises:
        BadInputError: when most weights are experts', which no linear layers hold, or the model computes something else
            with its weights than layers in fewer bits do.
    """
    if settings.weights == settings.base_weights == "float32":
        return trainable
    model = inner_model(trainable.model)
    if settings.base_weights != "float32" and (experts := num_expert_weights(model)):
        raise BadInputError(
            f"train.base_weights={settings.base_weights} is for linear layers and embeddings, but {experts:,} weights "
            f"of this model are in stacked experts: set train.base_weights=float32"
        )
    before = log_probabilities(trainable.model, model)
    kind: Kind = "bf16" if settings.base_weights == "float32" else settings.base_weights
    if settings.base_weights == "float32":
        halve_weights(trainable.model)
        asked, said = "train.weights=bf16", "weights in bf16"
    else:
        num_weights, num_bytes = pack_frozen_weights(trainable.model, kind)
        asked, said = (
            f"train.base_weights={kind}",
            (
                f"base weights in {kind}: {num_weights / 1e6:,.1f} million that do not move take "
                f"{num_bytes / 1e6:,.1f} MB instead of {4 * num_weights / 1e6:,.1f}"
            ),
        )
    moved = _divergence(before, log_probabilities(trainable.model, model))
    if not moved <= _LARGEST_DIVERGENCE[kind]:
        raise BadInputError(
            f"{asked} moves the next token's probabilities by {moved:.2g} nats, where rounding moves them by at most "
            f"{_LARGEST_DIVERGENCE[kind]:g}: this model computes something else with its weights than layers in fewer "
            "bits do. Set it to float32"
        )
    note(f"{said}; the next token's probabilities change by {moved:.2g} nats (Kullback-Leibler)")
    return trainable


def _divergence(before: Tensor | None, after: Tensor | None) -> float:
    """Return how far the probabilities of the token behind a test row moved, in nats."""
    assert before is not None and after is not None
    return float((before.exp() * (before - after)).sum())


def _fault(kind: Kind, device: torch.device) -> str:
    """Return what goes wrong where a small weight is packed and unpacked on a device; nothing where it comes back."""
    drawn = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    layer: Any = torch.nn.Linear(64, 64, bias=False)
    layer.weight = torch.nn.Parameter(drawn.clone(), requires_grad=False)
    try:
        pack(layer, kind)
        found = layer.to(device).unpacked(torch.float32).cpu()
    except Exception as error:  # A library that does not find its own has a dozen of them.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    distance = float((found - drawn).norm() / drawn.norm())
    return "" if distance <= _TOLERANCE[kind] else f"a weight comes back changed by {distance:.0%}"
