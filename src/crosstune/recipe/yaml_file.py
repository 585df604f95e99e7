"""Recipes on disk: read YAML 1.2 with a base, apply overrides, report every mistake at once, write it resolved."""

import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError

from crosstune.errors import RecipeError
from crosstune.recipe import Recipe, Section, checks, defaults, shipped
from crosstune.recipe.mistakes import describe, number_of
from crosstune.recipe.nulls import off_by_null, put_back
from crosstune.terminal.output import note

SectionType = TypeVar("SectionType", bound=Section)
_NOT_SET = "not set"
_STAGES = re.compile(r"^(systems\.[^.]+)\.stages\b")


def assignments(given: Iterable[str], option: str) -> dict[str, Any]:
    """Return what an option of a command, given as NAME=VALUE, sets; values are read as those of overrides.

    Raises:
        RecipeError: for one without a name.
    """
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise RecipeError(f"{option} {text!r}: write NAME=VALUE, for example enable_thinking=false")
        found[name] = _parse_yaml(value, f"{option} {text!r}")
    return found


def load_recipe(path: Path, overrides: Iterable[str] = (), quick: bool = False) -> Recipe:
    """Read a recipe, its ``base`` recipe if it names one, and apply ``section.key=value`` overrides in order.

    With ``quick``, the overrides of the recipe's own ``quick`` section come first: a smaller run of the same shape.

    Raises:
        RecipeError: with every mistake and its path in the file.
    """
    path = shipped.find(path)
    content = _read_with_base(path)
    quick_overrides = content.pop("quick", {})
    if quick:
        if not quick_overrides:
            raise RecipeError(f"{path}: --quick needs a `quick` section in the recipe")
        for dotted, value in quick_overrides.items():
            _set(content, dotted, value, where=f"{path}: quick")
    for override in overrides:
        dotted, separator, text = override.partition("=")
        if not separator:
            raise RecipeError(f"override {override!r}: write section.key=value, for example data_root=../data")
        _set(content, dotted, _parse_yaml(text, f"override {override!r}"), where=f"override {override!r}")
    return validate(content, str(path))


def validate(content: Mapping[str, Any], where: str) -> Recipe:
    """Check a recipe's content.

    Raises:
        RecipeError: with every mistake and its path in the file.
    """
    content = defaults.fill(dict(content))
    problems: list[str] = []
    try:
        # Through JSON, because strict validation then still turns text into paths and lists into tuples.
        recipe = Recipe.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = [describe(problem) for problem in error.errors()]
    try:
        problems += checks.problems(content)
    except TypeError:
        # A list or a mapping stands where a name should, which cannot be looked up; the mistake is among those above.
        if not problems:
            raise
    if problems:
        raise RecipeError("\n".join([f"{where}: {number_of(len(problems))}", *(f"  {line}" for line in problems)]))
    return recipe


def load_section(path: Path, kind: type[SectionType]) -> SectionType:
    """Read a YAML file that holds one section's settings.

    Raises:
        RecipeError: with every mistake and its path in the file.
    """
    try:
        return kind.model_validate_json(json.dumps(_read(path)))
    except ValidationError as error:
        lines = [f"  {describe(problem)}" for problem in error.errors()]
        raise RecipeError("\n".join([f"{path}: {number_of(len(lines))}", *lines])) from None


def dump(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML: every setting with its value, itself a valid recipe."""
    content = recipe.model_dump(mode="json", exclude_none=True)
    put_back(recipe, content)
    return to_yaml(content)


def to_yaml(content: Any) -> str:
    """Return content as YAML."""
    return _yaml_of(json.dumps(content))


@lru_cache(maxsize=16)  # Each stage writes the same recipe, and the YAML of a long one takes a third of a second.
def _yaml_of(content: str) -> str:
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 120
    yaml.dump(json.loads(content), stream)
    return stream.getvalue()


def bases_of(path: Path) -> list[Path]:
    """Return the recipes that a recipe file is based on, or that a study changes, the nearest first."""
    content = _read(path)
    base = content.get("base", content.get("recipe"))
    if not base:
        return []
    nearest = Path(os.path.normpath(path.parent / str(base)))
    return [nearest, *bases_of(nearest)]


def description_of(path: Path) -> str:
    """Return what a recipe file says of itself."""
    return str(_read(path).get("description", ""))


def differences(path: Path, wanted: Recipe) -> list[str]:
    """Return one line per setting in which a resolved recipe, as a run folder holds it, differs from a recipe.

    A section that only one of them has, such as a task or a system, is one line. An earlier version wrote none of the
    settings that have come since: they count as their defaults.
    """
    old, new = path.read_text(encoding="utf-8"), dump(wanted)
    if old == new:
        return []
    with suppress(RecipeError):
        old = dump(load_recipe(path))
    return sorted(_differing(*(_parse_yaml(text, str(path)) for text in (old, new))))


def _differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    parts = [_parts_of(before), _parts_of(after)]
    if all(parts):
        for key in {**parts[0], **parts[1]}:
            old, new = (one.get(key, _NOT_SET) for one in parts)
            yield from _differing(old, new, f"{path}.{key}" if path else str(key))
    elif before != after:
        yield f"{path}: {_told(before)} -> {_told(after)}"


def _parts_of(content: Any) -> dict[Any, Any]:
    if isinstance(content, dict):
        return content
    return dict(enumerate(content)) if isinstance(content, list) else {}


def _told(content: Any) -> str:
    return "set" if any(isinstance(part, dict) for part in (content, *_parts_of(content).values())) else str(content)


def _read_with_base(path: Path) -> dict[str, Any]:
    content = _read(path)
    if "base" not in content:
        return content
    base_path = path.parent / str(content.pop("base"))
    base = _read(base_path)
    if "base" in base:
        raise RecipeError(f"{base_path} has a `base` itself; a recipe's base must be a whole recipe: merge the two")
    return _merge(base, content, str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot read this recipe ({error.strerror}). Give a file, or the name of a recipe included with "
            f"crosstune: {', '.join(shipped.recipes())}"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{path}: line {line} is not UTF-8: save the file as UTF-8 in your editor") from None
    content = _parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a YAML mapping of sections, but this holds {type(content).__name__}")
    _rename_stages(content, path)
    return content


def _rename_stages(content: dict[str, Any], path: Path) -> None:
    """Read the ``stages`` of a system, as ``phases`` were called up to release 0.1, and say so."""
    systems = content.get("systems")
    for name, system in systems.items() if isinstance(systems, dict) else ():
        if isinstance(system, dict) and "stages" in system and "phases" not in system:
            system["phases"] = system.pop("stages")
            note(f"{path}: systems.{name}.stages is now called `phases`; the next release drops the old name")


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return deepcopy(_parsed(text))
    except YAMLError as error:
        raise RecipeError(f"{where}: not valid YAML: {error}") from None


@lru_cache(maxsize=16)  # Commands read a recipe twice and more.
def _parsed(text: str) -> Any:
    # In Python: the library in C reads YAML 1.1, in which Norwegian's code is false.
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _DatesAsText
    return yaml.load(text)


class _DatesAsText(SafeConstructor):
    """Reads 2025-01-31 as what is written, with quotes and without: JSON has no dates."""


_DatesAsText.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _merge(base: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """Lay changes over a base: mappings merge, ``null`` removes a key or turns it off, everything else replaces."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            _leave_out(merged, key, where)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value, f"{where}: {key}")
        else:
            merged[key] = value
    return merged


def _set(content: Any, dotted: str, value: Any, where: str) -> None:
    """Set ``a.b.0.c`` in nested mappings and lists; ``*`` stands for every key or index."""
    dotted = _STAGES.sub(r"\1.phases", dotted)
    key, _, rest = dotted.partition(".")
    for index in _indices(content, key, where):
        if not rest:
            if value is None and isinstance(content, dict):
                _leave_out(content, index, where)
            else:
                content[index] = value
            continue
        if isinstance(content, dict) and not isinstance(content.get(index), dict | list):
            content[index] = {}
        _set(content[index], rest, value, where)


def _leave_out(content: dict[str, Any], key: str, where: str) -> None:
    if key in off_by_null():
        content[key] = None
        return
    # A setting that is not set has its default already; a name that is not there is mistaken for another.
    are_names = all(isinstance(value, dict | list) for value in content.values())
    if key not in content and content and are_names:
        raise RecipeError(f"{where}: there is no {key!r} to leave out; there are: {', '.join(content)}")
    content.pop(key, None)


def _indices(content: Any, key: str, where: str) -> list[Any]:
    if isinstance(content, dict):
        return list(content) if key == "*" else [key]
    if not isinstance(content, list):
        raise RecipeError(
            f"{where}: {content!r} is one value, with no {key!r} in it: leave out what is behind its place"
        )
    positions = range(len(content))
    if key == "*":
        return list(positions)
    if key.isdecimal() and int(key) in positions:
        return [int(key)]
    raise RecipeError(
        f"{where}: {key!r} is not a position in a list of {len(content)}; give 0 to {len(content) - 1} or *"
    )
