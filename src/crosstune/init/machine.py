"""What training is planned for: a GPU by name, the one that is here, or this machine's processor, measured."""

from dataclasses import dataclass

import torch

from crosstune.doctor.cost import LORA, METHODS, Cases, Cost, Method, cost_of
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError
from crosstune.plan.here import this_device
from crosstune.plan.machines import GPUS, Gpu, Machine

_MFU = 0.4
# Full first: it learns most. On a processor nothing is gained by fewer bits.
_ON_GPU = tuple(sorted(METHODS, key=lambda method: ("full", "LoRA", "QLoRA").index(method.name)))
_ON_PROCESSOR = (Method("full", {"method": "full"}, {}), Method("LoRA", LORA, {}))


@dataclass(frozen=True)
class Planned:
    """The machine, and the way of training that fits it best.

    Attributes:
        is_measured: whether it is this one.
    """

    machine: Machine
    cost: Cost
    is_measured: bool


def plan_for(subject: Subject, gpu: str) -> Planned:
    """Find the first way of training, full before LoRA before QLoRA, that fits a GPU, or this machine.

    Raises:
        BadInputError: when none fits.
    """
    kind, is_measured, methods = _machine(gpu)
    machine, cases = Machine(kind, 1, _MFU), Cases(subject.config, 1)
    needed = []
    for method in methods:
        cost = cost_of(cases, method, kind.memory_gb)
        if cost.memory.total <= kind.memory_gb * 1e9:
            return Planned(machine, cost, is_measured)
        needed.append(f"{method.name} {cost.memory.total / 1e9:.0f} GB")
    raise BadInputError(
        f"{subject.name} does not fit on {kind.name} with {kind.memory_gb:.0f} GB ({', '.join(needed)}). Use a "
        f"smaller model, or a larger GPU with --gpu"
    )


def _machine(gpu: str) -> tuple[Gpu, bool, tuple[Method, ...]]:
    if gpu:
        return GPUS[gpu], False, _ON_GPU
    return this_device(), True, _ON_GPU if torch.cuda.is_available() else _ON_PROCESSOR
