"""What every reader yields: the content of a row as it stands in its file, its place, and why it cannot be read."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Record(NamedTuple):
    """A row as its file holds it; ``problem`` says why it cannot be read, if so."""

    origin: str
    content: Any
    problem: str = ""


Records = Iterator[Record]


class Cells(NamedTuple):
    """A row of a table.

    Attributes:
        number: of its first line.
        raw: as it stands in the file, for the record of what is dropped.
        problem: why its cells cannot be told apart, if so.
    """

    number: int
    cells: Sequence[Any]
    raw: Any
    problem: str = ""
