"""Comma-separated rows: a broken quote costs its own line and no other, and every line stays as it was written."""

import csv
from collections import deque
from collections.abc import Iterator

from crosstune.data.readers.records import Cells
from crosstune.data.readers.text_files import MAX_LINE_BYTES, Line, TextFile
from crosstune.errors import BadInputError

# Lines that were read as the inside of a quoted cell and are read again, because its quote never ended.
_MAX_READ_AGAIN = 10_000_000


class _Lines:
    """The lines of a file, of which some can be given back to be read again."""

    def __init__(self, file: TextFile) -> None:
        self._path = file.path
        self._lines = file.lines()
        self._again: deque[Line] = deque()
        self._num_again = 0
        self.taken: list[Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line.text + "\n"

    def give_back(self) -> None:
        """Give back all lines of the row but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        self._num_again += len(self.taken) - 1
        if self._num_again > _MAX_READ_AGAIN:
            raise BadInputError(
                f"{self._path}: its quotes open and never close, in many rows; a quoted cell ends with a quote, and "
                "quotes inside it are doubled. Correct them, or set `format: tsv` if tabs part the columns"
            )
        del self.taken[1:]


def csv_rows(file: TextFile) -> Iterator[Cells]:
    """Yield the rows; quoted cells may hold commas and line ends."""
    # The library's own limit, 131,072 characters, is shorter than a chapter. A line's limit is ours.
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not valid CSV ({error}); a quoted cell ends with a quote, quotes inside it are doubled"
            lines.give_back()
            cells = []
            # The old one waits for the end of the quote.
            reader = csv.reader(lines, strict=True)
        else:
            problem = next((line.problem for line in lines.taken if line.problem), "")
        raw = "\n".join(line.text for line in lines.taken)
        yield Cells(lines.taken[0].number, cells, raw, problem)
