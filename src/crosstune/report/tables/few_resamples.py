"""Columns in which no difference can be significant: too few resamples for so many pairs of systems."""

from collections.abc import Mapping, Sequence

from crosstune.report.scores import Resamples
from crosstune.report.tables.findings import FindingGroup
from crosstune.report.tables.significance import ALPHA, Comparison

# Corpus metrics of lm-evaluation-harness have no more.
_FIXED = 100


def few_resamples(
    comparisons: Sequence[Comparison], resamples: Resamples, labels: Mapping[str, str]
) -> list[FindingGroup]:
    """Return a line for each number of resamples of which the smallest corrected p is not below the level."""
    found: dict[tuple[int, int], dict[str, None]] = {}
    for one in comparisons:
        number = len(resamples.get((one.system, one.task, one.metric), ()))
        if one.test == "paired_bootstrap" and one.num_pairs >= ALPHA * (number + 1):
            name = f"{labels.get(one.task, one.task)} ({one.metric})"
            found.setdefault((number, one.num_pairs), {})[name] = None
    lines = tuple(_line(number, pairs, list(names)) for (number, pairs), names in found.items())
    return [FindingGroup("Not decided", lines)] if lines else []


def _line(number: int, num_pairs: int, names: Sequence[str]) -> str:
    more = "" if number == _FIXED else ", or raise evaluate.num_bootstrap"
    return (
        f"{number:,} resamples cannot show a difference after Holm's correction over {num_pairs} pairs of systems: "
        f"{'; '.join(names)}. Without a mark there, systems are not shown to be alike: compare fewer systems{more}."
    )
