"""A recipe as YAML that explains itself: a comment behind every choice."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

_DEPTH = 3
_WIDTH = 110
# What YAML reads as text without quotes, wherever it stands.
_PLAIN = re.compile(r"(?:\.{0,2}/)*[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = re.compile(r"true|false|null|yes|no|on|off", re.IGNORECASE)


def as_yaml(content: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """Return content as YAML; ``reasons`` are written above the settings whose dotted paths they have."""
    return "\n".join(_lines(content, reasons, "", 0)) + "\n"


def _lines(content: Mapping[str, Any], reasons: Mapping[str, str], path: str, depth: int) -> Iterator[str]:
    for key, value in content.items():
        where, indent = f"{path}{key}", "  " * depth
        if where in reasons:
            yield from (f"{indent}# {line}" for line in textwrap.wrap(reasons[where], _WIDTH))
        if isinstance(value, Mapping) and value and (depth < _DEPTH - 1 or _has_reasons(where, reasons)):
            yield f"{indent}{_flow(key)}:"
            yield from _lines(value, reasons, f"{where}.", depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{_flow(key)}:"
            yield from (f"{indent}  - {_flow(entry)}" for entry in value)
        else:
            yield f"{indent}{_flow(key)}: {_flow(value)}"
        if not depth:
            yield ""


def _has_reasons(where: str, reasons: Mapping[str, str]) -> bool:
    return any(other.startswith(f"{where}.") for other in reasons)


def _flow(value: Any) -> str:
    """Return a value on one line; JSON is YAML 1.2, so what cannot stand without quotes is written as JSON."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_flow(key)}: {_flow(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
