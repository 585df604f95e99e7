"""How the systems of a recipe fit together: what each starts from, and what it is merged with."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages.registry import split_direction, usual_code
from crosstune.recipe.content import dicts, get, kind_of, listed, mapping
from crosstune.recipe.systems import NewRows


def problems_of_systems(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the names that systems give, and with their order."""
    systems = mapping(content, "systems")
    reference = mapping(content, "evaluate").get("reference_system")
    if reference is not None and reference not in systems:
        yield f"evaluate.reference_system: {reference!r} is not a system; there are {listed(systems)}"
    yield from _labels_of_several(systems)
    extended = mapping(content, "tokenizer").get("extension") is not None
    for name, system in systems.items():
        if get(system, "tokenizer") == "extended" and not extended:
            yield f"systems.{name}.tokenizer: `extended` needs a `tokenizer.extension` section"
        if _starts_from_itself(systems, name):
            yield f"systems.{name}.start: leads back to {name!r} itself; begin with `scratch`, a folder or a hub id"
            continue
        yield from _merged_with(systems, name)
        yield from _of_no_use(systems, name)
        yield from _pulls_on_nothing(content, name, system)
        other = mapping(system, "merge").get("system")
        if other is not None and other not in (ancestors := list(comes_from(systems, name))):
            yield (
                f"systems.{name}.merge.system: {other!r} is not one of the systems that {name!r} comes from "
                f"({', '.join(ancestors) or 'none'})"
            )


def _labels_of_several(systems: Mapping[str, Any]) -> Iterator[str]:
    """Yield what tables would call two systems: nobody could tell their rows apart."""
    labels = {name: get(system, "label") or name for name, system in systems.items()}
    for label, number in Counter(map(str, labels.values())).items():
        if number > 1:
            names = ", ".join(name for name, own in labels.items() if own == label)
            yield f"systems: {names} have one `label`, {label!r}: tables could not tell them apart; give each its own"


def _of_no_use(systems: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the settings of a system that would change nothing."""
    system = systems[name]
    start, written = get(system, "start"), mapping(system, "new_rows")
    # A run folder's recipe has every setting, so those that say what goes without saying are no mistake.
    usual = {key: field.default for key, field in NewRows.model_fields.items()}
    says_something = {**usual, **written} != usual
    if says_something and get(system, "tokenizer") == "base":
        yield f"systems.{name}.new_rows: its tokenizer is `base`, which has no new pieces: leave `new_rows` out"
    elif says_something and get(systems.get(start) if isinstance(start, str) else None, "tokenizer") == "extended":
        yield f"systems.{name}.new_rows: its start, {start!r}, has the rows of the new pieces: leave `new_rows` out"
    if get(system, "revision") is None or not isinstance(start, str):
        return
    if start in systems or start == "scratch" or start.endswith(".gguf"):
        what = "a system of this recipe" if start in systems else "no hub id"
        yield f"systems.{name}.revision: it is the commit of a hub id, and `start: {start}` is {what}: leave it out"


def _pulls_on_nothing(content: Mapping[str, Any], name: str, system: Any) -> Iterator[str]:
    """Yield which languages of ``kl_to_start`` no completion is in: it would do nothing, and nobody would notice."""
    for index, phase in enumerate(dicts(get(system, "phases"))):
        pulled = mapping(phase, "kl_to_start").get("languages")
        learnt = [str(mixture) for mixture in (phase.get("mixture"), mapping(phase, "replay").get("prompts"))]
        answered = {code for mixture in learnt for code in _languages_of_answers(content, mixture)}
        unknown = [code for code in pulled if usual_code(str(code)) not in answered] if isinstance(pulled, list) else []
        if answered and unknown:
            yield (
                f"systems.{name}.phases.{index}.kl_to_start.languages: no completion of mixture {learnt[0]!r} is in "
                f"{', '.join(map(str, unknown))}, only in {', '.join(sorted(answered))}: leave out what acts on nothing"
            )


def _languages_of_answers(content: Mapping[str, Any], mixture: str) -> Iterator[str]:
    for part in dicts(mapping(content, "data", "mixtures").get(mixture)):
        source = mapping(content, "data", "sources").get(str(part.get("source")))
        if part.get("as_text"):
            yield usual_code(str(part["as_text"]))
        elif kind_of(source) != "parallel":
            yield usual_code(str(get(source, "language")))
        elif isinstance(part.get("directions"), list):
            for direction in part["directions"]:
                with suppress(BadInputError):
                    yield split_direction(str(direction))[1]


def _merged_with(systems: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield what is wrong with the systems whose weights are added to one's own."""
    for setting, other in _others_of(systems.get(name)).items():
        if other not in systems:
            yield (
                f"systems.{name}.merge.{setting}: {other!r} is not a system; there are {listed(systems)}. A model of a "
                f"folder or the hub becomes one without phases: {other}: {{start: FOLDER, tokenizer: base}}"
            )
        elif name in _needed_by(systems, other):
            yield (
                f"systems.{name}.merge.{setting}: {other!r} needs {name!r} itself, so neither can be trained before "
                "the other: name a system that does not come from this one"
            )


def _others_of(system: Any) -> dict[str, str]:
    """Return the systems that a ``merge`` names besides an ancestor, by the setting that does."""
    named = {f"add.{key}": mapping(system, "merge", "add").get(key) for key in ("system", "minus")}
    return {setting: other for setting, other in named.items() if isinstance(other, str)}


def _needed_by(systems: Mapping[str, Any], name: str) -> set[str]:
    """Return all systems that have to be trained before one is there, and itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found or one not in systems:
            continue
        found.add(one)
        start = get(systems[one], "start")
        waiting += [*_others_of(systems[one]).values(), *([start] if isinstance(start, str) else [])]
    return found


def _starts_from_itself(systems: Mapping[str, Any], name: str) -> bool:
    return name in comes_from(systems, name)


def comes_from(systems: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the systems that one starts from, the nearest first; at most as many as there are."""
    for _ in systems:
        start = get(systems.get(name), "start")
        if not isinstance(start, str) or start not in systems:
            return
        yield start
        name = start
