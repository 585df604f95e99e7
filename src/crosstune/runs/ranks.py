"""Which of several launched processes this one is: the only reader of the variables that launchers set."""

import os


def num_ranks() -> int:
    """Return how many processes were launched together; 1 without a launcher.

    ``torchrun`` and ``accelerate launch`` set all three variables for each process. Some clusters set RANK or
    WORLD_SIZE in every container: without LOCAL_RANK no launcher started this process, and accelerate counts it alone.
    """
    size = _number("WORLD_SIZE")
    return size if size > 1 and _number("RANK") >= 0 and _number("LOCAL_RANK") >= 0 else 1


def rank() -> int:
    """Return this process's number among those that were launched together; the main one is 0."""
    return _number("RANK") if num_ranks() > 1 else 0


def is_main_process() -> bool:
    """Return whether this process writes what all of them make."""
    return rank() == 0


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else -1
