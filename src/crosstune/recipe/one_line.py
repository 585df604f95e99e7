"""A setting's value on one line of YAML."""

import json
import re
from collections.abc import Mapping
from typing import Any

# What YAML reads as text without quotes, wherever it stands: letters of any script.
_PLAIN = re.compile(r"(?:\.{0,2}/)*[^\W\d][\w./-]*")
_NOT_TEXT = re.compile(r"true|false|null|yes|no|on|off", re.IGNORECASE)


def on_one_line(value: Any) -> str:
    """Return a value on one line; JSON is YAML 1.2, so what cannot stand without quotes is written as JSON."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{on_one_line(key)}: {on_one_line(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(on_one_line, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
