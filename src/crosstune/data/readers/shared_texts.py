"""The texts that a spreadsheet keeps once and its cells refer to: what they come to when each cell has its own copy."""

from array import array
from collections.abc import Iterable

# A number of a text that no list has; an array holds no larger one.
_BEYOND = 2**32 - 1


class SharedTexts:
    """Of a part of a spreadsheet: how long each shared text is that it holds, and which ones its cells refer to."""

    def __init__(self) -> None:
        # Eight bytes a text or cell: a list of numbers takes ten times as much.
        self.lengths = array("Q")
        self.references = array("Q")
        self._length = 0

    def add_characters(self, text: str) -> None:
        """Count some of a shared text."""
        self._length += len(text)

    def end_text(self) -> None:
        """Note that a shared text has ended."""
        self.lengths.append(self._length)
        self._length = 0

    def refer(self, number: str) -> None:
        """Note that a cell holds the text of a number; what is none is the library's to refuse."""
        if number.isascii() and number.isdigit():
            self.references.append(min(int(number[:12]), _BEYOND))


def num_characters(parts: Iterable[SharedTexts]) -> int:
    """Return how many characters the cells of the largest sheet have when each holds its text."""
    parts = list(parts)
    # Which part is the list of texts, the file itself says; of several, the longer text counts.
    lengths = array("Q")
    for part in parts:
        for number, length in enumerate(part.lengths):
            if number == len(lengths):
                lengths.append(length)
            elif length > lengths[number]:
                lengths[number] = length
    return max(
        (sum(lengths[number] for number in part.references if number < len(lengths)) for part in parts), default=0
    )
