"""Conversations as instructions: ShareGPT's ``conversations`` and the chat ``messages`` of OpenAI and Hugging Face."""

from collections.abc import Mapping
from typing import Any

from crosstune.data.rows import is_encodable
from crosstune.prompts.conversation import Role, Turn, with_turns

# row key -> the keys of a turn's speaker and text.
LAYOUTS = {"messages": ("role", "content"), "conversations": ("from", "value")}
_ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "developer": "system",
}


def layout_of(row: Mapping[str, Any]) -> str | None:
    """Return the key under which a row holds a conversation."""
    return next((key for key in LAYOUTS if key in row), None)


def exchanges(turns: Any, first_only: bool) -> list[dict[str, str]] | str:
    """Return an instruction row for each answer that follows a user's turn, or what is wrong.

    The turns before the answered one, and a system prompt, are part of the row's ``input``, from which the prompt
    template makes turns of its own. Nothing is learnt from turns that nobody answered.

    Args:
        turns: the conversation, with either layout's keys.
        first_only: whether the answers after the first are left out.
    """
    spoken = _spoken(turns)
    if isinstance(spoken, str):
        return spoken
    found: list[dict[str, str]] = []
    for index in range(1, len(spoken)):
        (asked, instruction), (answered, output) = spoken[index - 1 : index + 1]
        if (asked, answered) == ("user", "assistant"):
            earlier = [Turn(speaker, text) for speaker, text in spoken[: index - 1]]
            found.append({"instruction": instruction, "input": with_turns("", earlier), "output": output})
            if first_only:
                break
    return found or "no assistant's turn follows a user's, so there is nothing to learn"


def _spoken(turns: Any) -> list[tuple[Role, str]] | str:
    """Return speaker and text of each turn, or what is wrong."""
    if not isinstance(turns, list):
        return f"a conversation is a list of turns, not {type(turns).__name__}"
    spoken: list[tuple[Role, str]] = []
    for number, turn in enumerate(turns, start=1):
        keys = next((keys for keys in LAYOUTS.values() if isinstance(turn, Mapping) and keys[0] in turn), None)
        if keys is None:
            return f"turn {number} has neither 'role' nor 'from'"
        role, text = turn[keys[0]], turn.get(keys[1])
        if not isinstance(role, str) or role not in _ROLES:
            return f"turn {number} has the role {role!r}; read are {', '.join(_ROLES)}"
        if not isinstance(text, str) or not is_encodable(text):
            return f"{keys[1]!r} of turn {number} is not a text"
        spoken.append((_ROLES[role], text))
    return spoken
