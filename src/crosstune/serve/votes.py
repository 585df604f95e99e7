"""Which answer a person liked best, kept as preferences: one row for each answer that was passed over."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crosstune.serve.stream import Decoding


@dataclass(frozen=True)
class Shown:
    """What a person saw: a question, and the answers in the order of the systems.

    Attributes:
        is_blind: whether the systems' names were hidden.
    """

    instruction: str
    text: str
    answers: Sequence[str]
    decoding: Decoding
    is_blind: bool


def save_vote(file: Path, shown: Shown, systems: Sequence[str], best: int) -> int:
    """Append a vote to a file of preferences, and return how many rows it made.

    A row has ``prompt``, ``chosen`` and ``rejected``, as trainers of preferences read them (TRL's format, for one), and
    beside them which systems wrote the two, whether their names were hidden, and how the answers were decoded. An
    answer that is equal to the chosen one makes no row.
    """
    chosen = shown.answers[best]
    rows = [
        {
            "prompt": "\n".join(part for part in (shown.instruction, shown.text) if part),
            "instruction": shown.instruction,
            "input": shown.text,
            "chosen": chosen,
            "rejected": other,
            "chosen_system": systems[best],
            "rejected_system": system,
            "blind": shown.is_blind,
            "decoding": asdict(shown.decoding),
        }
        for system, other in zip(systems, shown.answers, strict=True)
        if other != chosen
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # In one call of the system: two pages that keep their votes in one file cut none of each other's lines.
    with file.open("ab", buffering=0) as end_of_file:
        end_of_file.write(lines.encode())
    return len(rows)
