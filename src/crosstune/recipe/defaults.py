"""What follows from the rest of a recipe: how the rows of new pieces start, and the tasks of a suite."""

from collections.abc import Mapping
from typing import Any

from crosstune.languages.registry import split_direction, usual_code
from crosstune.recipe.content import mapping
from crosstune.recipe.languages import codes_in
from crosstune.recipe.suite import with_suite


def fill(content: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's content with what follows from the rest of it written out.

    A system with the extended tokenizer that does not say how its new rows start takes `aligned` where one of its
    phases trains on translations into every target language that has new pieces, and else what `NewRows` says: in
    docs/results.md both lead the plain mean by 20 BLEU. A suite of evaluate becomes the tasks that it stands for. Wrong
    types pass; the sections' own classes report them.
    """
    if "evaluate" in content:
        content = {**content, "evaluate": with_suite(content["evaluate"])}
    systems = content.get("systems")
    if not isinstance(systems, dict):
        return content
    filled = {name: _with_new_rows(content, system) for name, system in systems.items()}
    return {**content, "systems": filled}


def _with_new_rows(content: Mapping[str, Any], system: Any) -> Any:
    if not isinstance(system, dict) or "new_rows" in system or system.get("tokenizer") != "extended":
        return system
    if _starts_with_new_rows(content["systems"], system):
        return system
    phases = system.get("phases")
    for phase in phases if isinstance(phases, list) else ():
        mixture = phase.get("mixture") if isinstance(phase, dict) else None
        if isinstance(mixture, str) and _translates_into_all_targets(content, mixture):
            return {**system, "new_rows": {"method": "aligned", "mixture": mixture}}
    return system


def _starts_with_new_rows(systems: Mapping[str, Any], system: Mapping[str, Any]) -> bool:
    """Return whether a system starts from another of the recipe that has the new rows already."""
    start = system.get("start")
    other = systems.get(start) if isinstance(start, str) else None
    return isinstance(other, dict) and other is not system and other.get("tokenizer") == "extended"


def _translates_into_all_targets(content: Mapping[str, Any], mixture: str) -> bool:
    try:
        _, *targets = codes_in(content)
        numbers = mapping(content, "tokenizer", "extension").get("num_new_pieces")
        none = {usual_code(str(code)) for code in numbers if not numbers[code]} if isinstance(numbers, Mapping) else ()
        targets = [target for target in targets if target not in none]
        parts = content["data"]["mixtures"][mixture]
        into = {
            split_direction(direction)[1]
            for part in parts
            if content["data"]["sources"][part["source"]]["kind"] == "parallel"
            for direction in part.get("directions") or ()
        }
        return bool(targets) and {*targets} <= into
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
