"""Print failure rates with intervals, and how varied answers are: python docs/failure_rates.py runs/cure.

A row for each cell and system: the share of answers with each failure that any system has, with Wilson's 95 % interval;
the share of different answers among all; and the share of different word trigrams, beside that of the references.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crosstune.evaluate.intervals import wilson
from crosstune.runs.files import read_jsonl
from crosstune.tasks.diagnostics import FAILURES


def rows_of(run: Path) -> Iterator[list[str]]:
    """Yield the table's rows, the first one its head."""
    answers: dict[tuple[str, str], list[Any]] = {}
    for path in sorted(run.glob("systems/*/evaluation/outputs.jsonl")):
        for row in read_jsonl(path):
            if row.get("failures") is not None:
                answers.setdefault((row["task"], path.parts[-3]), []).append(row)
    seen = [name for name in FAILURES if any(name in row["failures"] for rows in answers.values() for row in rows)]
    yield ["cell", "system", "n", *seen, "different answers", "different trigrams (references)"]
    for (task, system), rows in sorted(answers.items()):
        shares = [_share(sum(name in row["failures"] for row in rows), len(rows)) for name in seen]
        outputs, references = [row["output"] for row in rows], [row["reference"] for row in rows]
        varied = f"{len({*outputs}) / len(outputs):.2f}", f"{_trigrams(outputs)} ({_trigrams(references)})"
        yield [task, system, str(len(rows)), *shares, *varied]


def _share(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"{count / n:.3f} [{low:.3f}, {high:.3f}]"


def _trigrams(texts: Sequence[str]) -> str:
    found = [tuple(words[first : first + 3]) for words in map(str.split, texts) for first in range(len(words) - 2)]
    return f"{len({*found}) / len(found):.2f}" if found else "–"


if __name__ == "__main__":
    head, *rows = rows_of(Path(sys.argv[1]))
    for line in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(line) + " |")
