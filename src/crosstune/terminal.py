"""One look for everything that crosstune prints: headings, notes, tables, and progress with the time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Everything for people goes to stderr; stdout carries results (tables, JSON, translations) and can be piped.
console = Console(stderr=True, highlight=False)
results = Console(highlight=False)
# Wide enough for Table 4 with intervals; a pipe has no width of its own.
_PIPE_WIDTH = 120
if not results.is_terminal:
    results = Console(highlight=False, width=_PIPE_WIDTH)


class Advance(Protocol):
    """What a long step calls when a part of its work is done."""

    def __call__(self, amount: float = 1, note: str = "") -> None:
        """Advance the bar by an amount of the total, and show a note behind it."""


_BAR_WIDTH = 20
# What stands around a bar and its note: the spinner, the bar, two times, spaces.
_AROUND = _BAR_WIDTH + 34
_bars_shown: list[Progress] = []


@dataclass
class _Bar:
    bars: Progress
    task: TaskID

    def __call__(self, amount: float = 1, note: str = "") -> None:
        task = self.bars.tasks[self.task]
        room = self.bars.console.width - len(task.description) - 2 * len(str(task.total)) - _AROUND
        self.bars.update(self.task, advance=amount, note=_as_much_as_fits(note, room))


def _as_much_as_fits(note: str, room: int) -> str:
    """Return the first parts of a note, which two spaces set apart, as far as there is room for whole ones."""
    while len(note) > room:
        note, separator, _ = note.rpartition("  ")
        if not separator:
            return ""
    return note


def heading(text: str) -> None:
    """Announce a stage."""
    console.print(text, style="bold", markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Say what was done or skipped, under the stage's heading."""
    console.print(f"  {text}", markup=False, soft_wrap=True)


@contextmanager
def kept_when_stopped() -> Iterator[None]:
    """End a command that is stopped from the keyboard with a word on how it goes on, and status 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.quiet = False
        console.print("stopped; what was finished is kept. Run the same command again to go on.")
        raise SystemExit(130) from None


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """Show a bar with the time left, where a total is known; in a pipe or log, only the line at its end.

    One bar at a time: what is done inside a longer step shows none of its own.
    """
    if _bars_shown:
        yield lambda amount=1, note="": None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("  {task.description}"),
        BarColumn(_BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        _bars_shown.append(bars)
        try:
            yield _Bar(bars, bars.add_task(description, total=total, note=""))
        finally:
            _bars_shown.pop()
