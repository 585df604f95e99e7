"""What a recipe is wanted for."""

from dataclasses import dataclass
from pathlib import Path

from crosstune.doctor.subject import Subject
from crosstune.recipe import Languages


@dataclass(frozen=True)
class InitRequest:
    """What a recipe is wanted for.

    Attributes:
        root: the folder of files, and what the recipe's paths are relative to.
        has_folder: whether the files under it are meant, not data sets of the hub alone.
        data_sets: names of data sets of the hub.
    """

    subject: Subject
    root: Path
    languages: Languages
    hours: float
    gpu: str
    out: Path
    data_sets: tuple[str, ...] = ()
    has_folder: bool = True
