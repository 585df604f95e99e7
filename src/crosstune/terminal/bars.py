"""Progress bars with the time left, also of work in other processes; in a pipe or log, a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from crosstune.terminal.output import console


class Advance(Protocol):
    """What a long step calls when a part of its work is done."""

    def __call__(self, amount: float = 1, note: str = "") -> None:
        """Advance the bar by an amount of the total, and show a note behind it."""


@dataclass(frozen=True)
class BarMoved:
    """What a process tells the one that shows its bars; ``is_over`` when the bar moves no more."""

    description: str
    total: float | None
    amount: float
    note: str
    is_over: bool


BarUpdate = BarMoved | str
"""What one process shows for another: a bar that moved, or text."""

_BAR_WIDTH = 20
# What stands around a bar and its note: the spinner, the bar, two times, spaces.
_AROUND = _BAR_WIDTH + 34
SECONDS_BETWEEN_MOVES = 0.2
# In a pipe or log a bar is a line now and then, so that nobody has to wonder whether anything goes on.
SECONDS_BETWEEN_LINES = 60.0
_steps_shown: list[Advance | None] = []
_send: Callable[[BarUpdate], None] | None = None


class _Description(ProgressColumn):
    """What a bar is for, as far as there is room for it: the numbers behind it are read first."""

    def __init__(self, on: Console) -> None:
        super().__init__()
        self._console = on

    def render(self, task: Task) -> Text:
        text = Text(f"  {task.description}")
        room = self._console.width - _AROUND - 2 * len(str(task.total))
        text.truncate(max(room, 0), overflow="ellipsis")
        return text


@dataclass
class _Bar:
    bars: Progress
    task: TaskID
    told_at: float = field(default_factory=time.monotonic)

    def __call__(self, amount: float = 1, note: str = "") -> None:
        task = next(task for task in self.bars.tasks if task.id == self.task)
        room = self.bars.console.width - len(task.description) - 2 * len(str(task.total)) - _AROUND
        self.bars.update(self.task, advance=amount, note=as_much_as_fits(note, room))
        if not self.bars.console.is_terminal and time.monotonic() - self.told_at > SECONDS_BETWEEN_LINES:
            self.told_at = time.monotonic()
            self.print()

    def print(self) -> None:
        """Print it as a line that stays."""
        self.bars.console.print(self.bars.make_tasks_table([task for task in self.bars.tasks if task.id == self.task]))

    def finish(self) -> None:
        """Where no total was known beforehand, it is what was done."""
        task = next(task for task in self.bars.tasks if task.id == self.task)
        if task.total is None:
            self.bars.update(self.task, total=task.completed)


@dataclass
class _InnerWork:
    """Work inside a longer step: a note behind the bar of that step, where one is shown."""

    step: Advance | None
    description: str
    total: float | None
    done: float = 0.0

    def __call__(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        of_total = "" if self.total is None else f"/{self.total:.0f}"
        if self.step is not None:
            self.step(0, f"{self.description} {self.done:.0f}{of_total}")

    def finish(self) -> None:
        """Take the note away."""
        if self.step is not None:
            self.step(0)


def as_much_as_fits(note: str, room: int) -> str:
    """Return the first parts of a note, which two spaces set apart, as far as there is room for whole ones."""
    while len(note) > room:
        note, separator, _ = note.rpartition("  ")
        if not separator:
            return ""
    return note


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """Show a bar with the time left, where a total is known; in a pipe or log, a line a minute and one at its end.

    One bar at a time: work inside a longer step is told behind the bar of that step.
    """
    if _steps_shown:
        inner = _InnerWork(_steps_shown[-1], description, total)
        yield inner
        inner.finish()
    elif _send is not None:
        distant = _DistantBar(_send, description, total)
        distant(0)
        try:
            with _shown(distant):
                yield distant
        finally:
            distant.send(is_over=True)
    else:
        with _new_bars() as bars:
            bar = _Bar(bars, bars.add_task(description, total=total, note=""))
            with _shown(bar):
                yield bar
            bar.finish()


@contextmanager
def _shown(step: Advance | None) -> Iterator[None]:
    _steps_shown.append(step)
    try:
        yield
    finally:
        _steps_shown.pop()


@contextmanager
def bars_of_others() -> Iterator[Callable[[str, BarUpdate], None]]:
    """Show what other processes tell, each by its name: bars that move, and above them text and bars that are over."""
    with _new_bars() as bars, _shown(None):
        shown_bars: dict[str, _Bar] = {}

        def show(name: str, update: BarUpdate) -> None:
            if isinstance(update, str):
                console.print(update, end="", markup=False, soft_wrap=True)
                return
            description = update.description if update.description.startswith(name) else f"{name}: {update.description}"
            if description not in shown_bars:
                task = bars.add_task(description, total=update.total, note="")
                shown_bars[description] = _Bar(bars, task)
            bar = shown_bars[description]
            bar(update.amount, update.note)
            if update.is_over:
                bar.finish()
                bar.print()
                bars.remove_task(shown_bars.pop(description).task)

        yield show


def show_elsewhere(send: Callable[[BarUpdate], None], quiet: bool, width: int) -> None:
    """Let another process show what this one prints, and its bars."""
    global _send
    _send = send
    console.quiet, console.width = quiet, width
    console.file = cast(TextIO, _DistantText(send))


def is_shown_elsewhere() -> bool:
    """Return whether another process shows what this one prints."""
    return _send is not None


@dataclass
class _DistantText:
    """A file whose text another process prints."""

    send: Callable[[BarUpdate], None]

    def write(self, text: str) -> None:
        if text:
            self.send(text)

    def flush(self) -> None:
        pass


class _DistantBar:
    """A bar that another process shows; frequent updates are sent now and then."""

    def __init__(self, send: Callable[[BarUpdate], None], description: str, total: float | None) -> None:
        self._send, self._description, self._total = send, description, total
        self._waiting, self._note, self._told_at = 0.0, "", float("-inf")

    def __call__(self, amount: float = 1, note: str = "") -> None:
        self._waiting, self._note = self._waiting + amount, note
        if time.monotonic() - self._told_at > SECONDS_BETWEEN_MOVES:
            self.send()

    def send(self, is_over: bool = False) -> None:
        """Send what was not sent yet."""
        self._send(BarMoved(self._description, self._total, self._waiting, self._note, is_over))
        self._waiting, self._told_at = 0.0, time.monotonic()


def _new_bars() -> Progress:
    columns = (
        SpinnerColumn(),
        _Description(console),
        BarColumn(_BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console)
