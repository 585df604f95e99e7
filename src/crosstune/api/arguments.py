"""Arguments that hold several texts: one text in their place would be taken letter by letter, without a complaint."""

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
