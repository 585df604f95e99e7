"""What every reader yields: the content of a row as it stands in its file, its place, and why it cannot be read."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Record(NamedTuple):
    """A row as its file holds it; ``problem`` says why it cannot be read, if so."""

    origin: str
    content: Any
    problem: str = ""


Records = Iterator[Record]
