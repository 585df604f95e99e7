"""Print failure rates, and how varied answers are: python docs/failure_rates.py runs/cure/cure_seed_*.

A row for each cell and system: the share of answers with each failure that any system has; the share of different
answers among all; and the share of different word trigrams, beside that of the references. Of one run, failures have
Wilson's 95 % interval; of several, which are taken for seeds, all are mean ± standard deviation.
"""

import sys
from collections.abc import Iterator, Sequence
from math import isnan, nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from crosstune.evaluate.intervals import wilson
from crosstune.runs.files import read_jsonl
from crosstune.tasks.diagnostics import FAILURES


def rows_of(runs: Sequence[Path]) -> Iterator[list[str]]:
    """Yield the table's rows, the first one its head."""
    answers: dict[tuple[str, str], list[list[Any]]] = {}
    for run in runs:
        of_run: dict[tuple[str, str], list[Any]] = {}
        for path in sorted(run.glob("systems/*/evaluation/outputs.jsonl")):
            for row in read_jsonl(path):
                if row.get("failures") is not None:
                    of_run.setdefault((row["task"], path.parts[-3]), []).append(row)
        for key, rows in of_run.items():
            answers.setdefault(key, []).append(rows)
    each = [row for several in answers.values() for rows in several for row in rows]
    seen = [name for name in FAILURES if any(name in row["failures"] for row in each)]
    yield ["cell", "system", "n", *seen, "different answers", "different trigrams (references)"]
    for (task, system), several in sorted(answers.items()):
        failures = [_share(name, several) for name in seen]
        outputs, references = ([[row[key] for row in rows] for rows in several] for key in ("output", "reference"))
        different = _mean([len({*texts}) / len(texts) for texts in outputs], 2)
        trigrams = f"{_mean([*map(_trigrams, outputs)], 2)} ({_mean([*map(_trigrams, references)], 2)})"
        yield [task, system, str(len(several[0])), *failures, different, trigrams]


def _share(failure: str, several: Sequence[Sequence[Any]]) -> str:
    counts = [sum(failure in row["failures"] for row in rows) for rows in several]
    if len(several) > 1:
        return _mean([count / len(rows) for count, rows in zip(counts, several, strict=True)], 3)
    count, n = counts[0], len(several[0])
    low, high = wilson(count, n)
    return f"{count / n:.3f} [{low:.3f}, {high:.3f}]"


def _mean(values: Sequence[float], digits: int) -> str:
    if isnan(values[0]):
        return "–"
    spread = f" ± {stdev(values):.{digits}f}" if len({*values}) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def _trigrams(texts: Sequence[str]) -> float:
    found = [tuple(words[first : first + 3]) for words in map(str.split, texts) for first in range(len(words) - 2)]
    return len({*found}) / len(found) if found else nan


if __name__ == "__main__":
    head, *rows = rows_of([*map(Path, sys.argv[1:])])
    for line in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(line) + " |")
