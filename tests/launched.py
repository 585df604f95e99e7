"""A process as a launcher starts it."""

import pytest


def launched(patch: pytest.MonkeyPatch, size: int, rank: int = 0) -> None:
    """Set what torchrun and accelerate set for each of their processes."""
    for name, value in (("WORLD_SIZE", size), ("RANK", rank), ("LOCAL_RANK", rank)):
        patch.setenv(name, str(value))
