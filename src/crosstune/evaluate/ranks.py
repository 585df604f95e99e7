"""Scoring on several processes: each answers its share, and all of them know all answers."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch

from crosstune.runs.ranks import num_ranks as num_ranks
from crosstune.runs.ranks import rank as rank

Answer = TypeVar("Answer")


def device() -> torch.device:
    """Return this process's device, and join the other processes, if there are any."""
    if num_ranks() == 1:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    from accelerate import PartialState

    # Told apart: without a GPU it would not join the others by itself.
    found: torch.device = PartialState(cpu=not torch.cuda.is_available()).device
    return found


def share(sizes: Sequence[int]) -> list[int]:
    """Return the places of this process's part of some work, by its size: all processes get about as much.

    The largest goes to whoever has least so far (longest processing time first; Graham 1969).
    """
    loads, mine = [0] * num_ranks(), []
    for place in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
        least = loads.index(min(loads))
        loads[least] += sizes[place]
        if least == rank():
            mine.append(place)
    return sorted(mine)


def gather(answers: Mapping[int, Answer]) -> dict[int, Answer]:
    """Return the answers of all processes, by their places."""
    if num_ranks() == 1:
        return dict(answers)
    from accelerate.utils import gather_object

    return dict(gather_object(list(answers.items())))


def wait() -> None:
    """Wait until all processes are here."""
    if num_ranks() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
