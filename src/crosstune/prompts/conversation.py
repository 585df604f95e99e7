"""Turns of a conversation: as a row's input carries them, and as a template without a place for turns writes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from crosstune.prompts.cleaning import clean

Role = Literal["system", "user", "assistant"]

# One sign of Unicode's last private plane before each turn, so that a row's input stays a text like any other: no
# keyboard, font or encoding of Korean uses it, and what a text holds of it is taken out.
_MARKS: dict[Role, str] = {"system": "\U0010fff0", "user": "\U0010fff1", "assistant": "\U0010fff2"}
_ROLES = {mark: role for role, mark in _MARKS.items()}
_ANY_MARK = re.compile(f"([{''.join(_ROLES)}])")
# How templates of single questions name who spoke; a system text stands there as it is.
LABELS: dict[Role, str] = {"system": "", "user": "User: ", "assistant": "Assistant: "}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says."""

    role: Role
    content: str

    def cleaned(self) -> "Turn":
        """Return the turn in the form in which texts are learnt."""
        return Turn(self.role, clean(self.content))


def with_turns(text: str, earlier: Sequence[Turn]) -> str:
    """Return a row's input that holds a text and the turns before the question; `turns_of` takes them apart."""
    return _ANY_MARK.sub("", text) + "".join(
        _MARKS[turn.role] + _ANY_MARK.sub("", clean(turn.content)) for turn in earlier
    )


def turns_of(text: str) -> tuple[str, tuple[Turn, ...]]:
    """Return the text and the earlier turns that a row's input holds."""
    own, *parts = _ANY_MARK.split(text)
    turns = tuple(Turn(_ROLES[mark], said.strip()) for mark, said in zip(parts[::2], parts[1::2], strict=True))
    return own.strip(), turns


def flattened(earlier: Sequence[Turn]) -> str:
    """Return turns as lines of an input: ``User: ...``, ``Assistant: ...``, and a system text as it is."""
    return "\n".join(LABELS[turn.role] + turn.content for turn in earlier)
