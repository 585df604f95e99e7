"""What ``null`` says in a recipe: that a setting is left out or, where that would turn it on, that it is off."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from crosstune.recipe.section import Section


def put_back(value: Any, content: Any) -> None:
    """Put back each ``null`` that turns off what is on by default: left out, it would be on again."""
    if content is None:
        return
    if isinstance(value, Section):
        for name, part in value:
            if part is None and name in off_by_null():
                content[name] = None
            put_back(part, content.get(name))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            put_back(part, content[name])
    elif isinstance(value, tuple):
        for part, plain in zip(value, content, strict=True):
            put_back(part, plain)


@cache
def off_by_null() -> frozenset[str]:
    """Return the names of settings that ``null`` turns off: they may be null, and are not by default."""

    def of(section: type[BaseModel]) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if field.default is not None and NoneType in get_args(field.annotation):
                yield name
        for kind in section.__subclasses__():
            yield from of(kind)

    return frozenset(of(Section))
