"""Mistakes that pydantic finds in a recipe, in words."""

import re
from typing import Any

# What pydantic writes into a path to say which of several kinds a setting was taken for.
_TAGS = re.compile(
    r"(^tokenizer\.(?:base|extension))\.(?:learned|given)\b|((?:^|\.)num_new_pieces)\.(?:number|by_language)\b"
)


def number_of(number: int) -> str:
    """Return how many mistakes there are, in words."""
    return f"{number} mistake" if number == 1 else f"{number} mistakes"


def describe(problem: Any) -> str:
    """Return a mistake that pydantic found: the path of the setting, what is wrong, and what was found."""
    path = _TAGS.sub(r"\1\2", ".".join(str(part) for part in problem["loc"])) or "recipe"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown setting; remove it or correct its name"
    if problem["type"] == "missing":
        return f"{path}: missing; it has no default"
    found = problem.get("input")
    shown = "" if isinstance(found, dict) else f" (found {found!r})"
    return f"{path}: {message}{shown}"
