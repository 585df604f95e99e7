"""A recipe's content before it is checked: anything may stand anywhere."""

from collections.abc import Mapping
from typing import Any


def mapping(content: Any, *path: str) -> Mapping[str, Any]:
    """Return the mapping at a path of keys; an empty one where there is none."""
    for key in path:
        content = get(content, key)
    return content if isinstance(content, Mapping) else {}


def get(content: Any, key: str) -> Any:
    """Return what a mapping holds under a key; None of anything else."""
    return content.get(key) if isinstance(content, Mapping) else None


def dicts(content: Any) -> list[Mapping[str, Any]]:
    """Return the mappings of a list."""
    return [entry for entry in content if isinstance(entry, Mapping)] if isinstance(content, list) else []


def kind_of(source: Any) -> Any:
    """Return the kind of a source."""
    return get(source, "kind")


def listed(content: Mapping[str, Any]) -> str:
    """Return the keys of a mapping as messages list them."""
    return ", ".join(sorted(content)) or "none"
