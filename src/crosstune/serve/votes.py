"""Which answer a person liked best, kept as preferences: one row for each answer that was passed over."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crosstune.prompts.conversation import Turn
from crosstune.serve.decoding import Decoding


@dataclass(frozen=True)
class Conversation:
    """What is sent before a question: a system prompt, and earlier questions, to each system with its own answers."""

    system: str = ""
    earlier: tuple["Shown", ...] = ()

    def before(self, place: int) -> list[Turn]:
        """Return the turns for one of the systems; a question without an answer is left out."""
        turns = [Turn("system", self.system)] if self.system else []
        for one in self.earlier:
            if answer := (one.answers[place] or "").strip():
                turns += [Turn("user", one.question), Turn("assistant", answer)]
        return turns


NO_CONVERSATION = Conversation()


@dataclass(frozen=True)
class Shown:
    """What a person saw: a question, and the answers in the order of the systems.

    Attributes:
        answers: None where a system could not be asked.
        is_blind: whether the systems' names were hidden.
        has_vote: whether a vote on these answers is saved.
    """

    instruction: str
    text: str
    answers: Sequence[str | None]
    decoding: Decoding
    is_blind: bool
    conversation: Conversation = NO_CONVERSATION
    has_vote: bool = False

    @property
    def question(self) -> str:
        """The instruction and its input, as a user says them."""
        return "\n".join(part for part in (self.instruction, self.text) if part)


def save_vote(file: Path, shown: Shown, systems: Sequence[str], best: int) -> int:
    """Append a vote to a file of preferences, and return how many rows it made.

    A row has ``prompt``, ``chosen`` and ``rejected``, as trainers of preferences read them (TRL's format, for one), and
    beside them which systems wrote the two, whether their names were hidden, and how the answers were decoded. An
    answer that is equal to the chosen one makes no row.
    """
    chosen = shown.answers[best]
    rows = [
        {
            "prompt": "\n".join(part for part in (shown.conversation.system, shown.question) if part),
            "system": shown.conversation.system,
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
        if other not in (chosen, None)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # In one call of the system: two pages that keep their votes in one file cut none of each other's lines.
    with file.open("ab", buffering=0) as end_of_file:
        end_of_file.write(lines.encode())
    return len(rows)
