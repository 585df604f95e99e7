"""Arguments that would be taken without a complaint: one text for several, letter by letter; numbers that are none."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

Several = TypeVar("Several", bound=Iterable[object])


def several(name: str, given: Several) -> Several:
    """Return an argument that holds several texts or files.

    Raises:
        BadInputError: when it is a single one.
    """
    from crosstune.errors import BadInputError

    if isinstance(given, str | bytes | Path):
        raise BadInputError(f"{name}: {str(given)[:60]!r} is a single one. Several are expected: give a list, [...]")
    return given


def within(least: float, most: float = math.inf, **given: float | None) -> None:
    """Refuse numbers out of bounds, as the command line does; what is None is not given.

    Raises:
        BadInputError: with the argument and the bounds.
    """
    from crosstune.errors import BadInputError

    for name, value in given.items():
        if value is not None and not least <= value <= most:
            allowed = f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"
            raise BadInputError(f"{name}={value}: out of bounds. Allowed: {allowed}")
