"""How fast this machine trains: a phase's own rows, forward and back through the model's own layers, for some seconds.

Where the model is too large for that, it has fewer layers, each as wide as they are.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from crosstune.models.half_weights import halve_weights
from crosstune.models.kernels.inplace_gradients import choose_kernels, fast_paths, prove_training
from crosstune.models.pack_weights import pack_frozen_weights
from crosstune.models.recompute import recompute_layers
from crosstune.plan.case import Case
from crosstune.plan.machines import Gpu, Machine
from crosstune.recipe import Train
from crosstune.runs.provenance import free_memory, hardware
from crosstune.train.batches import Schedule, split_over_ranks
from crosstune.train.cost import count_tokens
from crosstune.train.loss import summed_loss
from crosstune.train.methods.base_weights import launch_here
from crosstune.train.methods.optimizer import make_optimizer
from crosstune.train.methods.trainable import Trainable, make_trainable
from crosstune.train.rows import Rows, Segment
from crosstune.train.speed import gain_of_bf16, matrix_rate, wait_for

# Of all phases together.
SECONDS = 10.0
# Weights, gradients and moments in float32.
_BYTES_A_WEIGHT = 16
# Of the memory that is free, for weights and what training keeps of them; the rest is for activations.
_SHARE_FOR_WEIGHTS = 0.4
# The optimizer's step is timed on so many weights: in bytes, and not compiled, it takes 0.3 microseconds each.
_MOST_STEPPED = 2_000_000
# A process that asks for all cores and gets less than this of them shares them with others.
_BUSY = 0.75
# Of what a large matrix product reaches, where nothing else was measured, and to choose what is measured.
_ASSUMED_MFU = 0.4


@dataclass(frozen=True)
class Measured:
    """What was measured of a phase.

    Attributes:
        flops_per_second: useful operations, forward and backward; what is computed twice counts once.
        optimizer_seconds: of a step of the optimizer over all that is trained.
        num_layers: that the measured model had; 0 where not even one fits, and the rate is assumed by a matrix product.
        share_of_cores: what this process had of the cores that it asked for; the others worked for somebody else.
    """

    flops_per_second: float
    optimizer_seconds: float
    num_layers: int
    share_of_cores: float = 1.0

    @property
    def is_shared(self) -> bool:
        """Whether other processes had much of the cores."""
        return self.share_of_cores < _BUSY

    @property
    def told_share(self) -> str:
        """What the share means, for people."""
        return (
            f"other processes use this machine: it gave this one {self.share_of_cores:.0%} of its cores while it was "
            "measured. Once it is idle, training is faster"
        )

    def hours(self, useful_flops: float, num_steps: int, machine: Machine) -> float:
        """Return the hours of a phase on so many machines like this one."""
        computing = useful_flops / self.flops_per_second / machine.num_gpus
        return (computing + num_steps * self.optimizer_seconds) / 3600


def this_device() -> Gpu:
    """Return what training takes here, as a GPU by its data sheet is described; rates are of matrix products."""
    device = launch_here().device
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        half, whole = (matrix_rate(device, dtype) / 1e12 for dtype in (torch.bfloat16, torch.float32))
        return Gpu(facts.name, facts.total_memory / 1e9, half, whole)
    rate = matrix_rate(device, torch.float32) / 1e12
    found = hardware()
    name = f"this machine ({found['processor']}, {found['cores']} cores)"
    return Gpu(name, free_memory() / 1e9, rate * gain_of_bf16(), rate, is_processor=True)


def this_machine(num_gpus: int = 1) -> Machine:
    """Return this machine, to be planned for, or so many like it."""
    return Machine(this_device(), num_gpus, _ASSUMED_MFU, is_here=True)


@dataclass
class Stopwatch:
    """Measures the phases of a plan, equal ones once."""

    num_phases: int
    _known: dict[str, Measured] = field(default_factory=dict)

    def measure(self, case: Case, rows: Rows, schedule: Schedule) -> Measured:
        """Return how fast this machine trains a phase."""
        key = " ".join([case.config.to_json_string(), case.phase.model_dump_json(), case.settings.model_dump_json()])
        if key not in self._known:
            with torch.random.fork_rng():
                self._known[key] = _measure(case, rows, schedule, SECONDS / self.num_phases)
        return self._known[key]


def _measure(case: Case, rows: Rows, schedule: Schedule, seconds: float) -> Measured:
    # It says of one process what accelerate's object says.
    launch: Any = launch_here()
    device = launch.device
    half = case.settings.precision != "float32"
    rate = _ASSUMED_MFU * matrix_rate(device, torch.bfloat16 if half else torch.float32)
    # Three passes at least, the first one to warm up.
    part = _part_to_measure(case, rows, schedule, seconds / 3 * rate)
    if part is None:
        return Measured(rate, 0.0, 0)
    small, segments = part
    trainable = _ready(small, device)
    optimizer = make_optimizer(trainable.model, small.phase, small.settings)

    def pass_rows() -> None:
        optimizer.zero_grad()
        _forward_and_back(trainable, segments, device, small.settings)

    prove_training(trainable.model, trainable.model, launch, small.settings)
    with fast_paths(trainable.model, launch, small.settings):
        passing, share = _mean_seconds(pass_rows, device, seconds)
    num_stepped = _keep_some_gradients(trainable.model)
    stepping = _mean_seconds(optimizer.step, device, seconds / 10)[0] / num_stepped
    return Measured(small.flops() / passing, stepping * case.num_trained(), _num_layers(small), share)


def _part_to_measure(
    case: Case, rows: Rows, schedule: Schedule, most_flops: float
) -> tuple[Case, Sequence[Segment]] | None:
    """Return a case of as many layers as some operations allow, and the rows of a micro-batch, fewer if need be.

    None where the memory has no room for one layer.
    """
    indices = schedule.rows_of_step(0)
    chosen = split_over_ranks(rows, indices, case.num_gpus, case.settings.micro_batch_tokens)[0][0]
    least = _with_layers(case, 1)
    while _tokens_of(rows, chosen, least).flops() > most_flops and len(chosen) > 1:
        chosen = chosen[: len(chosen) // 2]
    one, two = (_tokens_of(rows, chosen, _with_layers(case, number)) for number in (1, 2))
    of_layer, bytes_of_layer = two.flops() - one.flops(), _bytes_of(two) - _bytes_of(one)
    room = _SHARE_FOR_WEIGHTS * _free_bytes() - _bytes_of(one)
    if room < 0:
        return None
    more = min((most_flops - one.flops()) / of_layer, room / bytes_of_layer)
    number = min(_num_layers(case), 1 + max(0, int(more)))
    return _tokens_of(rows, chosen, _with_layers(case, number)), rows.segments(chosen)


def _with_layers(case: Case, number: int) -> Case:
    """Return a case whose model has so many layers, or all that it has."""
    if number >= _num_layers(case):
        return case
    config = copy.deepcopy(case.config)
    config.num_hidden_layers = number
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:number]
    return replace(case, config=config)


def _num_layers(case: Case) -> int:
    return int(case.config.num_hidden_layers)


def _tokens_of(rows: Rows, chosen: Sequence[int], case: Case) -> Case:
    """Return a case whose tokens are those of some rows, seen once."""
    few = Rows.of([rows[row] for row in chosen])
    schedule = Schedule(len(few), len(few), len(few), (0,))
    budget = int(rows.lengths(np.asarray(chosen)).sum())
    return replace(case, tokens=count_tokens(few, schedule, 1, budget, 1, case.phase.kept_languages))


def _bytes_of(case: Case) -> int:
    return _BYTES_A_WEIGHT * case.num_weights()["num_weights"]


def _free_bytes() -> float:
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else free_memory()


def _ready(case: Case, device: torch.device) -> Trainable:
    """Return a model of random weights as training makes it of one that has learnt."""
    model = case.model()
    if case.settings.gradient_checkpointing:
        recompute_layers(model)
    trainable = make_trainable(model, case.phase, case.old_size, seed=0)
    if case.settings.weights == "bf16":
        halve_weights(trainable.model)
    elif case.settings.base_weights != "float32":
        pack_frozen_weights(trainable.model, case.settings.base_weights)
    trainable.model.to(device).train()
    choose_kernels(trainable.model, device, case.settings)
    for regularizer in trainable.regularizers:
        regularizer.start(None)
    return trainable


def _forward_and_back(trainable: Trainable, segments: Sequence[Segment], device: torch.device, settings: Train) -> None:
    num_supervised = sum(segment.num_supervised for segment in segments)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision != "float32"):
        loss = summed_loss(trainable.model, segments, device, 1 / num_supervised, trainable.penalty)
    loss.total.backward()  # type: ignore[no-untyped-call]


def _keep_some_gradients(model: nn.Module) -> int:
    """Drop the gradients of all but some weights, which an optimizer steps over, and return how many these are."""
    num_kept = 0
    for weight in model.parameters():
        if weight.grad is not None and num_kept and num_kept + weight.numel() > _MOST_STEPPED:
            weight.grad = None
        num_kept += weight.numel() if weight.grad is not None else 0
    return num_kept


def _mean_seconds(work: Callable[[], object], device: torch.device, seconds: float) -> tuple[float, float]:
    """Return what a piece of work takes, on average over as many times as some seconds hold, but for a first one.

    With it the share of this processor's cores that the work had; of a GPU nothing is known.
    """
    work()
    found: list[float] = []
    computed = time.process_time()
    while len(found) < 2 or sum(found) < seconds:
        wait_for(device)
        started = time.perf_counter()
        work()
        wait_for(device)
        found.append(time.perf_counter() - started)
    asked = sum(found) * torch.get_num_threads()
    share = min(1.0, (time.process_time() - computed) / asked) if device.type == "cpu" else 1.0
    return sum(found) / len(found), share
