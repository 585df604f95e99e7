"""What makes a phase fit a GPU, in the order of what it costs: time first, then how well it learns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crosstune.plan.case import Case
from crosstune.plan.machines import Machine
from crosstune.recipe import Lora

_SMALLER_MICRO_BATCHES = (4096, 2048, 1024)
_MORE_GPUS = (2, 4, 8, 16, 32, 64)
_SPARING = ("weights", "optimizer", "base_weights", "gradient_checkpointing", "precision", "micro_batch_tokens")
_NARROW_BASES = ("bf16", "int8", "nf4")
# What is known of how each way learns, in the order of the proposals; numbers stand in docs/scaling.md.
EVIDENCE = {
    "same": "the same result, except for rounding",
    "adamw_8bit": "rounds the moments; losses of 60 steps differ by 0.16 % of what was learned",
    "weights": "rounds each new weight at random; see docs/scaling.md",
    "lora": "trains adapters instead of all weights",
    "bf16": "trains adapters on rounded weights; see docs/scaling.md",
    "int8": "trains adapters on 8-bit weights; see docs/scaling.md",
    "nf4": "trains adapters on 4-bit weights; see docs/scaling.md",
    "fewer pieces": "text gets longer; `crosstune sweep` measures how much",
}


@dataclass(frozen=True)
class Way:
    """A way of training, whose settings that only cost time are still open.

    Attributes:
        name: in a few words.
        case: with nothing spared.
        evidence: what is known of how well it learns.
    """

    name: str
    case: Case
    evidence: str


@dataclass(frozen=True)
class Proposal:
    """Settings that fit.

    Attributes:
        changes: of the recipe; empty where nothing is to be changed.
        evidence: what is known of how well it learns.
        hours: at the assumed share of the machine's peak.
        bytes_needed: on each GPU.
    """

    changes: str
    evidence: str
    hours: float
    bytes_needed: float


def proposals_for(case: Case, machine: Machine) -> Iterator[Proposal]:
    """Yield changes that make a case fit a machine, those first that change nothing of what is learnt.

    What rounds more is proposed only where it costs less time than what was proposed before.
    """
    limit, cheapest, method = machine.gpu.memory_gb * 1e9, math.inf, case.phase.method
    for number, way in enumerate(ways_of(case)):
        if way.case.phase.method != method:
            # It takes less time in any case.
            cheapest, method = math.inf, way.case.phase.method
        found = first_that_fits(savings_of(way.case), limit)
        if found is not None:
            fitting, needed = found
            changes, cost = _changes(case, fitting), _cost(case, fitting)
            if changes and cost < cheapest:
                cheapest = cost
                yield Proposal(changes, way.evidence, fitting.hours(machine), needed)
        if number == 0:
            yield from _on_more_gpus(case, machine)
    yield from _with_fewer_pieces(case, machine)


def ways_of(case: Case) -> list[Way]:
    """Return the ways of training that a case leaves open, from what learns best on."""
    ways = [Way(case.phase.title, case, EVIDENCE["same"])]
    if case.settings.optimizer == "adamw" and case.phase.method == "full":
        ways.append(Way("full, adamw_8bit", case.with_settings(optimizer="adamw_8bit"), EVIDENCE["adamw_8bit"]))
    if case.settings.weights == "float32" and case.may_halve_weights:
        halved = case.with_settings(weights="bf16")
        ways.append(Way("full, weights bf16", halved, EVIDENCE["weights"]))
        if case.settings.optimizer == "adamw":
            light = halved.with_settings(optimizer="adamw_8bit")
            ways.append(Way("full, weights bf16, adamw_8bit", light, EVIDENCE["weights"]))
    if case.phase.title == "full":
        lora = case.with_phase(method="lora", lora=Lora(train_new_rows=case.old_size is not None))
        case = lora.with_settings(weights="float32", optimizer="adamw")
        ways.append(Way("lora", case, EVIDENCE["lora"]))
    if case.has_frozen_layers and case.settings.base_weights == "float32":
        ways += [
            Way(f"{case.phase.title}, base {kind}", case.with_settings(base_weights=kind), EVIDENCE[kind])
            for kind in _NARROW_BASES
        ]
    return ways


def first_that_fits(cases: Sequence[Case], limit: float) -> tuple[Case, float] | None:
    """Return the first of some cases that needs no more bytes than there are, and what it needs."""
    for case in cases:
        needed = case.memory().total
        if needed <= limit:
            return case, needed
    return None


def _cost(before: Case, after: Case) -> int:
    """Return how much time the settings of one case cost beside those of another, as a rank."""
    if after.settings.gradient_checkpointing and not before.settings.gradient_checkpointing:
        return 2
    return int(after.settings.precision != before.settings.precision)


def savings_of(case: Case) -> list[Case]:
    """Return a case and those that need less memory for more time: nothing of what is learnt changes.

    Small micro-batches come before layers that are computed again, which takes a third more time: 1,024 tokens of a 7B
    model are 0.1 s at 40 % of an H100's rate, as long as Python takes to ask for their layers.
    """
    rounded = case if case.settings.precision == "fp8" else case.with_settings(precision="bf16")
    spared = _spared(case)
    sizes = [size for size in _SMALLER_MICRO_BATCHES if size < case.settings.micro_batch_tokens]
    kinds = [rounded] if rounded == spared else [rounded, spared]
    return [case, *(smaller for kind in kinds for smaller in (kind, *map(kind.with_micro_batches_of, sizes)))]


def _spared(case: Case) -> Case:
    """Return a case that computes its layers again, in bf16."""
    precision = "fp8" if case.settings.precision == "fp8" else "bf16"
    return case.with_settings(precision=precision, gradient_checkpointing=True)


def _on_more_gpus(case: Case, machine: Machine) -> Iterator[Proposal]:
    if case.needs_whole_weights:
        return
    spared = _spared(case)
    for num_gpus in _MORE_GPUS:
        if num_gpus <= case.num_gpus:
            continue
        needed = replace(spared, num_gpus=num_gpus).memory().total
        if needed <= machine.gpu.memory_gb * 1e9:
            changes = " ".join(filter(None, [f"{num_gpus} GPUs (--gpus {num_gpus})", _changes(case, spared)]))
            hours = spared.hours(replace(machine, num_gpus=num_gpus))
            yield Proposal(changes, EVIDENCE["same"], hours, needed)
            return


def _with_fewer_pieces(case: Case, machine: Machine) -> Iterator[Proposal]:
    """Yield the most new pieces with which all else that saves memory is enough, in halves of what there are."""
    old_size = case.old_size
    if old_size is None or case.config.vocab_size - old_size < 2:
        return
    num_new = case.config.vocab_size - old_size
    limit, least = machine.gpu.memory_gb * 1e9, savings_of(case)[-1]
    if least.memory().total <= limit:
        return
    for divisor in (2, 4, 8):
        config = type(case.config)(**{**case.config.to_dict(), "vocab_size": old_size + num_new // divisor})
        fewer = replace(least, config=config)
        needed = fewer.memory().total
        if needed <= limit:
            pieces = f"tokenizer.extension.num_new_pieces={num_new // divisor}"
            changes = " ".join(filter(None, [pieces, _changes(case, fewer)]))
            yield Proposal(changes, EVIDENCE["fewer pieces"], fewer.hours(machine), needed)
            return


def _changes(before: Case, after: Case) -> str:
    """Return the overrides that make one case the other."""
    old, new = before.settings.model_dump(mode="json"), after.settings.model_dump(mode="json")
    method = []
    if after.phase.lora and after.phase.method != before.phase.method:
        # As it was counted: without their rows, new pieces would stay where they began.
        rows = "train_new_rows: true" if after.phase.lora.train_new_rows else ""
        method = [f"method: lora, lora: {{{rows}}}"]
    return " ".join(method + [f"train.{name}={str(new[name]).lower()}" for name in _SPARING if new[name] != old[name]])
