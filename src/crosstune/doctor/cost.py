"""Memory and hours of adapters and of full training on a GPU, by `plan`'s own count, before there is any data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from crosstune.doctor.findings import Finding, settings
from crosstune.doctor.subject import Subject
from crosstune.plan.case import Case
from crosstune.plan.known_models import phase_on_text, tokens_of_text
from crosstune.plan.machines import GPUS, Machine, hours_of
from crosstune.plan.memory import Memory
from crosstune.recipe import Train

_SECTION = "cost"
_CARDS = tuple(name for name in GPUS if name != "cpu")
_MICRO_BATCHES = (4096, 1024)
_TOKENS = 10_000_000
_MFU = 0.4


@dataclass(frozen=True)
class Method:
    """A way of training.

    Attributes:
        phase: what of a phase makes it this way.
        machine: what of the section `train` does.
    """

    name: str
    phase: dict[str, Any]
    machine: dict[str, Any]

    def phase_with(self, new_rows: bool) -> dict[str, Any]:
        """Return the settings of a phase; beside adapters the rows of new pieces are trained, too."""
        if not new_rows or "lora" not in self.phase:
            return self.phase
        return {**self.phase, "lora": {**self.phase["lora"], "train_new_rows": True}}

    def setting(self, micro_batch_tokens: int) -> str:
        """Return what a recipe says for it."""
        train = {**self.machine, "micro_batch_tokens": micro_batch_tokens}
        return settings(train=train, systems={"ours": {"phases": [self.phase]}})


LORA = {"method": "lora", "lora": {"targets": "all-linear", "rank": 16, "alpha": 32}}
_BF16 = {"precision": "bf16", "gradient_checkpointing": True}
METHODS = (
    Method("QLoRA", LORA, {**_BF16, "base_weights": "nf4"}),
    Method("LoRA", LORA, {**_BF16, "base_weights": "bf16"}),
    Method("full", {"method": "full"}, _BF16),
)


@dataclass(frozen=True)
class Cost:
    """What a way of training takes on each GPU; hours are for ten million tokens."""

    method: Method
    memory: Memory
    micro_batch_tokens: int
    useful_flops: float
    settings: Train

    def hours(self, machine: Machine) -> float:
        """Return the hours for ten million tokens on a machine."""
        return hours_of(self.useful_flops, self.settings, machine)


def look_at_cost(subject: Subject, gpu: str, num_gpus: int) -> Iterator[Finding]:
    """Say what each way of training needs, and whether a kind of GPU has it; without one, which kinds have."""
    if not gpu and not torch.cuda.is_available():
        says = (
            "no GPU that torch can use: what follows is for the smallest GPU that fits; `crosstune init` measures here"
        )
        yield Finding(_SECTION, "this machine", "ok", says)
    memory_gb, cases = GPUS[gpu].memory_gb if gpu else None, Cases(subject.config, num_gpus)
    for method in METHODS:
        try:
            cost = cost_of(cases, method, memory_gb)
        # The count runs the architecture on tensors without content, which a few of them cannot.
        except Exception as error:
            says = f"cannot be estimated for this architecture ({type(error).__name__}: {error})"
            yield Finding(_SECTION, method.name, "attention", says)
            continue
        yield _finding(cost, gpu, num_gpus)


class Cases:
    """The ways of training one model: those that train the same of it share what is made and counted.

    ``old_size`` are its pieces without the new ones, where it gets some.
    """

    def __init__(self, config: Any, num_gpus: int, old_size: int | None = None) -> None:
        self._config, self.num_gpus, self._old_size = config, num_gpus, old_size
        self._of_phase: dict[str, Case] = {}

    def case(self, method: Method, micro_batch_tokens: int) -> Case:
        """Return a way of training with micro-batches of so many tokens."""
        phase = phase_on_text(**method.phase_with(new_rows=self._old_size is not None))
        tokens = tokens_of_text(_TOKENS, micro_batch_tokens, self.num_gpus)
        train = Train.model_validate({**method.machine, "micro_batch_tokens": micro_batch_tokens})
        if (key := phase.model_dump_json()) not in self._of_phase:
            self._of_phase[key] = Case(self._config, self._old_size, phase, train, tokens, self.num_gpus)
        return replace(self._of_phase[key], settings=train, tokens=tokens)


def cost_of(cases: Cases, method: Method, memory_gb: float | None) -> Cost:
    """Count what a way of training takes, with smaller micro-batches where larger ones do not fit."""
    for size in _MICRO_BATCHES:
        case = cases.case(method, size)
        memory = case.memory()
        if memory_gb is None or memory.total <= memory_gb * 1e9:
            break
    return Cost(method, memory, size, case.flops(), case.settings)


def _finding(cost: Cost, gpu: str, num_gpus: int) -> Finding:
    needed = cost.memory.total / 1e9
    # A CPU is one of the machines of `plan`, but no GPU.
    fitting = {name: kind for name, kind in GPUS.items() if needed <= kind.memory_gb and name in (gpu, *_CARDS)}
    smallest = min(fitting, key=lambda name: fitting[name].memory_gb, default="")
    chosen = gpu or smallest
    values: dict[str, Any] = {
        "memory_bytes": cost.memory.total,
        "micro_batch_tokens": cost.micro_batch_tokens,
        "fits_on": sorted(fitting),
    }
    says = (
        f"{needed:.1f} GB on {f'each of {num_gpus} GPUs' if num_gpus > 1 else 'one GPU'} at "
        f"{cost.micro_batch_tokens:,} tokens per pass"
    )
    if not chosen:
        return Finding(
            _SECTION, cost.method.name, "attention", f"{says}: more than any GPU of `plan` has", values=values
        )
    machine = Machine(GPUS[chosen], num_gpus, _MFU)
    values["gpu"] = chosen
    fits = chosen in fitting
    room = f"{'fits' if fits else 'does not fit'} {machine.gpu.name} ({machine.gpu.memory_gb:g} GB)"
    others = "" if fits else f"; {fitting[smallest].name} has enough" if smallest else "; no GPU of `plan` has enough"
    if not fits:
        return Finding(_SECTION, cost.method.name, "attention", f"{says}: {room}{others}", values=values)
    hours = values["hours_per_10m_tokens"] = cost.hours(machine)
    says += f": {room}. {_time(hours)} for 10M tokens at {_MFU:.0%} of its peak"
    setting = cost.method.setting(cost.micro_batch_tokens)
    return Finding(_SECTION, cost.method.name, "ok", says, setting, values, is_choice=True)


def _time(hours: float) -> str:
    return f"{hours:.2g} h" if hours >= 1 else f"{hours * 60:.2g} min" if hours * 60 >= 1 else f"{hours * 3600:.2g} s"
