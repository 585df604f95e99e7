"""Write docs/settings.md from the types of a recipe: python docs/write_settings.py."""

import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from crosstune.recipe import Recipe
from crosstune.recipe.section import Section

PAGE = Path(__file__).parent / "settings.md"
_INTRODUCTION = """# Settings

Every setting of a recipe, with its default. This page is generated from the recipe's types
(`python docs/write_settings.py`); `crosstune recipes schema` prints the same as a JSON schema, with which editors
complete settings and explain them. A setting without a default is marked *required*. Unknown settings are errors.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *(_part(section, path) for section, path in _sections().items())])


def _sections() -> dict[type[Section], str]:
    """Return every section with the place in a recipe where it stands first, parents before their parts."""
    found: dict[type[Section], str] = {Recipe: ""}
    waiting: list[type[Section]] = [Recipe]
    while waiting:
        section = waiting.pop(0)
        for name, field in section.model_fields.items():
            place = f"{found[section]}.{name}".lstrip(".") + _index(field.annotation)
            for part in _parts(field.annotation):
                if part not in found:
                    found[part] = place
                    waiting.append(part)
    return dict(sorted(found.items(), key=lambda item: _order(item[1])))


def _order(path: str) -> tuple[int, str]:
    names = list(Recipe.model_fields)
    return (names.index(path.split(".")[0]) if path else -1, path)


def _index(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    return {dict: ".NAME", tuple: "[]"}.get(origin, "") if _parts(annotation) else ""


def _parts(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [part for argument in typing.get_args(annotation) for part in _parts(argument)]


def _part(section: type[Section], path: str) -> str:
    title = f"`{path}`" if path else "The recipe"
    if path and len(_siblings(path)) > 1:
        kind = typing.get_args(section.model_fields["kind"].annotation)[0]
        title += f", `kind: {kind}`"
    rows = [_row(field.alias or name, field) for name, field in section.model_fields.items()]
    about = " ".join((section.__doc__ or "").replace("``", "`").split())
    return "\n".join(
        [f"## {title}\n", f"{about}\n", "| setting | value | default | what it is |", "|---|---|---|---|", *rows, ""]
    )


def _siblings(path: str) -> list[type[Section]]:
    return [section for section, other in _sections().items() if other == path]


def _row(name: str, field: FieldInfo) -> str:
    text = " ".join((field.description or "").replace("|", "\\|").split())
    return f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {text} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "*required*"
    if value is None or value in ("", (), {}) or isinstance(value, Section):
        return "none" if value is None else "empty" if not isinstance(value, Section) else "its defaults"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not type(None)))
    if origin is tuple:
        same = len(arguments) == 2 and arguments[1] is Ellipsis
        return f"list of {_type(arguments[0])}" if same else f"{len(arguments)} of {_type(arguments[0])}"
    if origin is dict:
        return f"NAME: {_type(arguments[1])}"
    return {str: "text", int: "number", float: "number", bool: "true or false", Path: "path"}.get(
        annotation, "section" if _parts(annotation) else getattr(annotation, "__name__", str(annotation))
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
