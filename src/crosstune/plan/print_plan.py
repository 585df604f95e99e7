"""A plan as tables for people, and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from crosstune.plan.machines import Machine
from crosstune.plan.plan import PhasePlan
from crosstune.terminal import new_table, results

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
    results.print(
        f"Assumed, not measured: {machine.mfu:.0%} of the peak rate of {machine.num_gpus} x {machine.gpu.name}; a CUDA "
        "context of 1.5 GB and 5 % lost to fragmentation. Several GPUs share weights and optimiser state (FSDP2), "
        "but for phases with kl_to_start or new rows alone, which need them whole.",
        style="dim",
    )


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
                "remedies": list(plan.remedies),
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
    table = new_table("Memory per GPU at the peak of a step, GB", gap=1)
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
