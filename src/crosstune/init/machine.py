"""What training is planned for: a GPU by name, the one that is here, or this machine's processor, measured."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from crosstune.doctor.cost import LORA, METHODS, Cases, Cost, Method, cost_of
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError
from crosstune.plan.here import this_device
from crosstune.plan.machines import GPUS, Machine
from crosstune.precision import Precision

_MFU = 0.4
# Weights in float32 may take so much of the memory in scoring; the rest is for keys, values and logits.
_SHARE_FOR_SCORING = 0.8
# Full first: it learns most.
_ON_GPU = tuple(sorted(METHODS, key=lambda method: ("full", "LoRA", "QLoRA").index(method.name)))


@dataclass(frozen=True)
class Planned:
    """The machine, and the way of training that fits it best.

    Attributes:
        is_measured: whether it is this one.
        scoring_precision: of the weights in scoring: float32, unless they do not fit.
    """

    machine: Machine
    cost: Cost
    is_measured: bool
    scoring_precision: Precision = "float32"

    @property
    def is_processor(self) -> bool:
        """Whether it is this machine's processor."""
        return self.is_measured and not torch.cuda.is_available()


def plan_for(subject: Subject, gpu: str, only_float32: bool = False, sizes: tuple[int, int] = (0, 0)) -> Planned:
    """Find the first way of training, full before LoRA before QLoRA, that fits a GPU, or this machine.

    A processor trains in bfloat16 where that is faster, and unless it may not. ``sizes`` are the pieces of the model's
    tokenizer and the new ones beside them, whose rows take memory, too.

    Raises:
        BadInputError: when none fits.
    """
    kind = GPUS[gpu] if gpu else this_device()
    methods = (
        _ON_GPU if gpu or torch.cuda.is_available() else _on_processor(kind.is_faster_in_bf16 and not only_float32)
    )
    machine, cases = Machine(kind, 1, _MFU), _cases(subject, *sizes)
    needed = []
    for method in methods:
        cost = cost_of(cases, method, kind.memory_gb)
        if cost.memory.total <= kind.memory_gb * 1e9:
            fits_in_float32 = 4 * subject.num_weights <= _SHARE_FOR_SCORING * kind.memory_gb * 1e9
            return Planned(machine, cost, not gpu, "float32" if fits_in_float32 else "bf16")
        needed.append(f"{method.name} {cost.memory.total / 1e9:.0f} GB")
    raise BadInputError(
        f"{subject.name} does not fit on {kind.name} with {kind.memory_gb:.0f} GB ({', '.join(needed)}). Use a "
        f"smaller model, or a larger GPU with --gpu"
    )


def _cases(subject: Subject, old_size: int, num_new: int) -> Cases:
    if not num_new:
        return Cases(subject.config, 1)
    config = copy.deepcopy(subject.config)
    config.vocab_size = max(config.vocab_size, old_size + num_new)
    return Cases(config, 1, old_size)


def _on_processor(in_bf16: bool) -> Sequence[Method]:
    """Return the ways of training that gain something there: memory is no reason for fewer bits, speed is."""
    settings = {"precision": "bf16"} if in_bf16 else {}
    return Method("full", {"method": "full"}, settings), Method("LoRA", LORA, settings)
