"""Instructions that are longer than a row may be: which were cut and which left out, to be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crosstune.recipe import Phase
from crosstune.terminal.output import note
from crosstune.train.row_index import SegmentIndex


@dataclass(frozen=True, slots=True)
class TooLong:
    """An instruction that was longer than the maximum: how long, and whether it was cut or left out."""

    origin: str
    num_tokens: int
    treatment: Literal["cut", "dropped"]


class TooLongExamples(Sequence[TooLong]):
    """Instructions that were longer than the maximum, in the mixture's order; one becomes Python when it is asked for.

    Attributes:
        facts: of these instructions as they were.
        is_cut: whether each was cut; the others were left out.
    """

    def __init__(self, index: SegmentIndex, is_cut: NDArray[np.bool_], origins: pa.ChunkedArray) -> None:
        self.facts, self.is_cut, self._origins = index, is_cut, origins

    def __len__(self) -> int:
        return len(self.facts)

    @overload
    def __getitem__(self, index: int) -> TooLong: ...
    @overload
    def __getitem__(self, index: slice) -> list[TooLong]: ...
    def __getitem__(self, index: int | slice) -> TooLong | list[TooLong]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        treatment: Literal["cut", "dropped"] = "cut" if self.is_cut[index] else "dropped"
        origin = str(self._origins[int(self.facts.example[index])])
        return TooLong(origin, int(self.facts.length[index]), treatment)

    def say(self, phase: Phase) -> None:
        """Say how many were cut and left out, and the first of each."""
        for treatment, chosen in (("cut", self.is_cut), ("dropped", ~self.is_cut)):
            if chosen.any():
                first = self[int(np.argmax(chosen))].origin
                limit = phase.max_length_tokens
                why = (
                    " since their prompts leave no room"
                    if treatment == "dropped" and phase.on_too_long == "truncate"
                    else ""
                )
                note(f"{phase.mixture}: longer than {limit} tokens, {treatment}{why}: {chosen.sum()} (first: {first})")
