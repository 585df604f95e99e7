"""Conversations as instructions: ShareGPT's ``conversations`` and the chat ``messages`` of OpenAI and Hugging Face."""

import json
from collections.abc import Mapping
from math import isnan
from typing import Any, NamedTuple

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
# What a turn may say besides its text: without it, the answer is another one.
_UNREAD = (
    *("tool_calls", "function_call", "tool_call_id", "functions", "tools", "images", "image", "videos", "audios"),
    *("audio", "reasoning_content", "reasoning", "thinking"),
    *("mask", "masked", "deleted", "ignore", "ignored", "train_detail", "loss_weight", "loss_mask"),
)
# Marks of OpenAI, axolotl and ms-swift for answers that are shown and not learnt.
_LEARNT = ("weight", "train", "training", "trainable", "loss")


class _Spoken(NamedTuple):
    """A turn of a conversation; an answer that is not learnt is read by the turns after it."""

    role: Role
    text: str
    is_learnt: bool = True


def layout_of(row: Mapping[str, Any]) -> str | None:
    """Return the key under which a row holds a conversation."""
    return next((key for key in LAYOUTS if key in row), None)


def is_missing(value: Any) -> bool:
    """Return whether a value is null, or NaN, which pandas writes in its place."""
    return value is None or (isinstance(value, float) and isnan(value))


def is_nothing(value: Any) -> bool:
    """Return whether a value stands for none: null or pandas' NaN, an empty text or list, an empty list as text."""
    return (
        is_missing(value)
        or value == []
        or value == {}
        or (isinstance(value, str) and value.strip() in ("", "[]", "{}"))
    )


def exchanges(turns: Any, first_only: bool, system: str = "") -> list[dict[str, str]] | str:
    """Return an instruction row for each answer that follows a user's turn, or what is wrong.

    The turns before the answered one, and a system prompt, are part of the row's ``input``, from which the prompt
    template makes turns of its own. Nothing is learnt from turns that nobody answered.

    Args:
        turns: the conversation, with either layout's keys; also as JSON, as tables have it.
        first_only: whether the answers after the first are left out.
        system: a system prompt that stands beside the turns.
    """
    spoken = _spoken(turns)
    if isinstance(spoken, str):
        return spoken
    if system:
        spoken.insert(0, _Spoken("system", system))
    found: list[dict[str, str]] = []
    for index in range(1, len(spoken)):
        asked, answer = spoken[index - 1 : index + 1]
        if asked.role == answer.role == "assistant":
            return "two assistant's turns follow each other, and nothing asks for the second; make one turn of them"
        if (asked.role, answer.role) == ("user", "assistant") and answer.is_learnt:
            earlier = [Turn(role, text) for role, text, _ in spoken[: index - 1]]
            found.append({"instruction": asked.text, "input": with_turns("", earlier), "output": answer.text})
            if first_only:
                break
    return found or "no assistant's turn follows a user's, so there is nothing to learn"


def _spoken(turns: Any) -> list[_Spoken] | str:
    """Return the turns, or what is wrong."""
    if isinstance(turns, str) and turns.lstrip().startswith("["):
        try:
            turns = json.loads(turns)
        except (ValueError, RecursionError) as error:
            return f"a conversation is a list of turns; this text is not JSON ({error})"
    if not isinstance(turns, list):
        return f"a conversation is a list of turns, not {type(turns).__name__}"
    spoken: list[_Spoken] = []
    for number, turn in enumerate(turns, start=1):
        found = _turn(turn, number)
        if isinstance(found, str):
            return found
        spoken.append(found)
    return spoken


def _turn(turn: Any, number: int) -> _Spoken | str:
    keys = next((keys for keys in LAYOUTS.values() if isinstance(turn, Mapping) and keys[0] in turn), None)
    if keys is None:
        return f"turn {number} has neither 'role' nor 'from'"
    role, text = turn[keys[0]], _joined(turn.get(keys[1]))
    if not isinstance(role, str) or role not in _ROLES:
        return f"turn {number} has the role {role!r}; read are {', '.join(_ROLES)}"
    unread = [key for key in _UNREAD if turn.get(key) is not False and not is_nothing(turn.get(key))]
    if unread:
        return f"turn {number} has {unread[0]!r}, which changes what its answer means and is not read"
    if not isinstance(text, str) or not is_encodable(text):
        return f"{keys[1]!r} of turn {number} is not a text"
    marks = {key: turn[key] for key in _LEARNT if turn.get(key) is not None}
    unknown = [f"{key!r} {mark!r}" for key, mark in marks.items() if mark not in (0, 1)]
    if unknown:
        return f"turn {number} has the {unknown[0]}; read are 1 (learnt) and 0 (read, but not learnt)"
    return _Spoken(_ROLES[role], text, is_learnt=all(marks.values()))


def _joined(content: Any) -> Any:
    """Return a content that is a list of text parts, as OpenAI's may be, as one text; any other as it is."""
    if not isinstance(content, list) or not content:
        return content
    texts: list[str] = []
    for part in content:
        is_text = isinstance(part, Mapping) and part.get("type", "text") == "text"
        text = part.get("text") if is_text else part
        if not isinstance(text, str):
            return content
        texts.append(text)
    return "\n".join(texts)
