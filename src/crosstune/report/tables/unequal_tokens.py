"""Systems that start from one model and were trained on unequal numbers of tokens: more than one thing differs."""

from collections.abc import Sequence

from crosstune.report.run_facts import SystemFacts
from crosstune.report.tables.findings import FindingGroup

# Below, the difference is a rest of a batch, or rows of a little other length.
_UNEQUAL = 1.25


def unequal_tokens(systems: Sequence[SystemFacts]) -> list[FindingGroup]:
    """Return a line for each start whose systems read numbers of tokens that differ by a quarter and more."""
    read: dict[str, list[tuple[int, str]]] = {}
    for system in systems:
        if tokens := sum(int(phase.get("tokens", 0)) for phase in system.phases):
            read.setdefault(system.start, []).append((tokens, system.label))
    lines = tuple(_line(start, sorted(told)) for start, told in read.items() if max(told)[0] > _UNEQUAL * min(told)[0])
    return [FindingGroup("Unequal training", lines)] if lines else []


def _line(start: str, told: Sequence[tuple[int, str]]) -> str:
    shown = "; ".join(f"{label} {tokens:,}" for tokens, label in told)
    return (
        f"Tokens that systems trained on, starting from {start}: {shown}. A difference between them may be due to this."
    )
