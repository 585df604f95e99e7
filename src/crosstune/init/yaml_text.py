"""A recipe as YAML that explains itself: a comment behind every choice."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from crosstune.recipe.one_line import on_one_line

_DEPTH = 3
_WIDTH = 110


def as_yaml(content: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """Return content as YAML; ``reasons`` are written above the settings whose dotted paths they have."""
    return "\n".join(_lines(content, reasons, "", 0)) + "\n"


def _lines(content: Mapping[str, Any], reasons: Mapping[str, str], path: str, depth: int) -> Iterator[str]:
    for key, value in content.items():
        where, indent = f"{path}{key}", "  " * depth
        if where in reasons:
            yield from (f"{indent}# {line}" for line in textwrap.wrap(reasons[where], _WIDTH))
        if isinstance(value, Mapping) and value and (depth < _DEPTH - 1 or _has_reasons(where, reasons)):
            yield f"{indent}{on_one_line(key)}:"
            yield from _lines(value, reasons, f"{where}.", depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{on_one_line(key)}:"
            yield from (f"{indent}  - {on_one_line(entry)}" for entry in value)
        else:
            yield f"{indent}{on_one_line(key)}: {on_one_line(value)}"
        if not depth:
            yield ""


def _has_reasons(where: str, reasons: Mapping[str, str]) -> bool:
    return any(other.startswith(f"{where}.") for other in reasons)
