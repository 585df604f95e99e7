"""A plan as tables for people, and as JSON for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from crosstune.plan.known_models import OnCard, WayOnCards
from crosstune.plan.machines import Machine
from crosstune.plan.memory import CONTEXT_BYTES, FRAGMENTATION
from crosstune.plan.plan import PhasePlan
from crosstune.recipe import Train
from crosstune.terminal.output import new_table, results

_HEADERS = {
    "gradients": "gradi-\nents",
    "optimizer": "opti-\nmizer",
    "working_weights": "working\nweights",
    "activations": "activa-\ntions",
}
_PARTS = ("weights", "gradients", "optimizer", "working_weights", "activations", "logits", "regularizers", "other")


def print_plan(plans: Sequence[PhasePlan], machine: Machine) -> None:
    """Print what each phase computes and how long that takes, then what it keeps in memory."""
    results.print(_cost_table(plans, machine))
    results.print(_memory_table(plans, machine))
    for plan in plans:
        if plan.num_expert_weights:
            share = plan.num_expert_weights / plan.num_weights
            results.print(
                f"{plan.system} {plan.index}: {three_digits(plan.num_expert_weights)} of "
                f"{three_digits(plan.num_weights)} weights ({share:.0%}) are experts'; "
                f"{three_digits(plan.num_trained_experts)} of them are trained"
            )
    for plan in plans:
        if plan.proposals:
            results.print(_proposals_table(plan))
    if copied := max((plan.memory.checkpoint for plan in plans), default=0.0):
        results.print(
            f"A checkpoint is copied to the host's memory, {copied / 1e9:.2g} GB at most, and written while training "
            "goes on; where less than twice that is free, training waits for it.",
            style="dim",
        )
    if loaded := max((4 * plan.num_weights for plan in plans), default=0):
        results.print(_on_the_host(loaded / 1e9), style="dim")
    for line in _what_was_measured(plans) if machine.is_here else ():
        results.print(line, style="dim")
    rate = "" if machine.is_here else f"{machine.mfu:.0%} of the peak rate of {machine.num_gpus} x {machine.gpu.name}; "
    results.print(
        f"Assumed, not measured: {rate}{_assumed_memory(machine)}",
        style="dim",
    )


def print_not_counted(plans: Sequence[PhasePlan], settings: Train) -> None:
    """Say what comes on top of the hours: scores, at the end and while phases train."""
    of_tasks = sum(_num_due(plan, settings.score_every_steps) for plan in plans)
    of_text = sum(_num_due(plan, settings.validate_every_steps) for plan in plans) if settings.validation else 0
    parts = [
        "the scores at the end",
        *([f"{of_tasks:,} times those of tasks while training (train.score_every_steps)"] if of_tasks else []),
        *([f"{of_text:,} times those of held-out text (train.validation)"] if of_text else []),
    ]
    results.print(f"Not counted in the hours: {', '.join(parts)}.", style="dim")


def _num_due(plan: PhasePlan, every_steps: int | None) -> int:
    """Return how often a phase is scored: at its start, every so many steps, and at its end."""
    if every_steps is None:
        return 0
    whole, rest = divmod(plan.tokens.num_steps, every_steps)
    return 1 + whole + (rest > 0)


def _assumed_memory(machine: Machine) -> str:
    context = "the process and its libraries" if machine.gpu.is_processor else "a CUDA context"
    assumed = f"{context} of {CONTEXT_BYTES / 1e9:g} GB and {FRAGMENTATION:.0%} lost to fragmentation."
    if machine.gpu.is_processor:
        return assumed
    return (
        f"{assumed} Several GPUs share weights and optimizer state (FSDP2), except for phases with kl_to_start or new "
        "rows alone, and for train.base_weights and train.weights other than float32, which need them whole."
    )


def print_ways(title: str, ways: Sequence[WayOnCards], machines: Sequence[Machine], num_tokens: int) -> None:
    """Print what each way of training a model takes on some cards: gigabytes, and hours for so many tokens."""
    table = new_table(f"{title}, {three_digits(num_tokens)} tokens of text: GB, hours, settings", gap=1)
    table.add_column("way of training", overflow="fold")
    for machine in machines:
        table.add_column(f"{machine.gpu.name}\n{machine.gpu.memory_gb:g} GB", justify="right")
    table.add_column("how it learns", overflow="fold")
    for way in ways:
        table.add_row(way.name, *map(on_card, way.cards), way.evidence)
    results.print(table)
    results.print(
        f"Assumed, not measured: {machines[0].mfu:.0%} of each card's peak rate; small micro-batches, weights of "
        "four and eight bits, which are unpacked, and moments in bytes cost no time. r: layers computed again "
        f"(train.gradient_checkpointing); k: train.micro_batch_tokens in thousands. All with train.precision: bf16. "
        f"{_on_the_host(ways[0].host_gb)}",
        style="dim",
    )


def _on_the_host(gb: float) -> str:
    return f"Each process loads its model into the host's memory first, in float32: {gb:.2g} GB."


def on_card(found: OnCard | None) -> str:
    """Return what a way of training takes on a card."""
    if found is None:
        return "-"
    settings = f"{'r ' if found.checkpoints else ''}{found.micro_batch_tokens // 1024}k"
    return f"{found.gb:.0f} GB, {hours_and_less(found.hours)} h, {settings}"


def ways_to_json(
    title: str, ways: Sequence[WayOnCards], machines: Sequence[Machine], num_tokens: int
) -> dict[str, Any]:
    """Return the ways of training a model on some cards as plain content."""
    return {
        "model": title,
        "tokens": num_tokens,
        "machines": [asdict(machine) for machine in machines],
        "ways": [asdict(way) for way in ways],
    }


def _proposals_table(plan: PhasePlan) -> Table:
    table = new_table(f"What would make {plan.system} {plan.index} fit, the cheapest first", gap=1)
    for column in ("change", "GB", "hours", "how it learns"):
        table.add_column(column, overflow="fold", justify="right" if column in ("GB", "hours") else "left")
    for proposal in plan.proposals:
        gb = f"{proposal.bytes_needed / 1e9:.1f}"
        table.add_row(proposal.changes, gb, hours_and_less(proposal.hours), proposal.evidence)
    return table


def _what_was_measured(plans: Sequence[PhasePlan]) -> Iterator[str]:
    for plan in plans:
        if plan.measured is None:
            continue
        rate = f"{plan.measured.flops_per_second / 1e9:,.1f} GFLOP/s"
        name = f"{plan.system} {plan.index}"
        if plan.measured.num_layers == 0:
            yield f"{name}: no layer fits here: 40 % of a large matrix product's rate are assumed, {rate}"
            continue
        yield (
            f"{name}: measured here on its own rows (layers: {plan.measured.num_layers}): {rate} of useful operations, "
            f"{hours_and_less(plan.measured.optimizer_seconds / 3600)} a step of the optimizer"
        )
        if plan.measured.is_shared:
            yield f"{name}: {plan.measured.told_share}"


def to_json(plans: Sequence[PhasePlan], machine: Machine) -> dict[str, Any]:
    """Return the plan as plain content, in bytes, hours and operations."""
    return {
        "machine": asdict(machine),
        "phases": [
            {
                "system": plan.system,
                "phase": plan.index,
                "mixture": plan.phase.mixture,
                "method": plan.phase.title,
                **asdict(plan.tokens),
                "num_warmup_steps": plan.num_warmup_steps,
                "useful_flops": plan.useful_flops,
                "hours": plan.hours,
                "memory_bytes": {**asdict(plan.memory), "total": plan.memory.total},
                "fits": plan.fits,
                "num_weights": plan.num_weights,
                "num_expert_weights": plan.num_expert_weights,
                "num_trained_experts": plan.num_trained_experts,
                "proposals": [asdict(proposal) for proposal in plan.proposals],
                "measured": None if plan.measured is None else asdict(plan.measured),
            }
            for plan in plans
        ],
    }


def _cost_table(plans: Sequence[PhasePlan], machine: Machine) -> Table:
    table = new_table(f"What is computed, on {machine.num_gpus} x {machine.gpu.name}", gap=1)
    table.add_column("phase", overflow="fold")
    # Names may break over lines, numbers must not: a header of two lines keeps its column narrow.
    for column in ("rows", "steps", "warmup", "tokens", "super-\nvised", "com-\nputed", "if\npadded", "PFLOP", "hours"):
        table.add_column(column, justify="right", no_wrap=True)
    for plan in plans:
        tokens = plan.tokens
        table.add_row(
            f"{plan.system}: {plan.phase.title} on {plan.phase.mixture}",
            f"{tokens.num_rows:,}",
            f"{tokens.num_steps:,}",
            f"{plan.num_warmup_steps:,}",
            three_digits(tokens.real),
            f"{tokens.supervised / tokens.real:.0%}",
            f"{tokens.computed / tokens.real:.0%}",
            f"{tokens.padded / tokens.real:.0%}",
            three_digits(plan.useful_flops / 1e15),
            hours_and_less(plan.hours),
        )
    table.add_section()
    table.add_row("all", *[""] * 8, hours_and_less(sum(plan.hours for plan in plans)))
    return table


def _memory_table(plans: Sequence[PhasePlan], machine: Machine) -> Table:
    per_gpu = "" if machine.gpu.is_processor else " per GPU"
    table = new_table(f"Memory{per_gpu} at the peak of a step, GB", gap=1)
    table.add_column("phase", overflow="fold")
    # A narrow terminal has no room for what no phase needs.
    shown = [part for part in _PARTS if any(getattr(plan.memory, part) for plan in plans)]
    for column in (*(_HEADERS.get(part, part) for part in shown), "total", f"of {machine.gpu.memory_gb:g}"):
        table.add_column(column, justify="right", no_wrap=True)
    for plan in plans:
        parts = (f"{getattr(plan.memory, part) / 1e9:.1f}" for part in shown)
        verdict = "fits" if plan.fits else "[bold red]too much[/bold red]"
        table.add_row(f"{plan.system} {plan.index}", *parts, f"{plan.memory.total / 1e9:.1f}", verdict)
    return table


def three_digits(number: float) -> str:
    """Return a number by its first three digits: 503k, 1.65M, 0.0128."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:#.3g}".rstrip(".") + letter
    return f"{number:.3g}"


def hours_and_less(hours: float) -> str:
    """Return a time for a column of hours: under a tenth of one in minutes, under a minute in seconds."""
    if hours >= 0.1:
        return f"{hours:,.1f}"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.2g} s"
