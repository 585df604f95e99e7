"""One look for everything that crosstune prints: headings, notes, tables, and progress with the time left."""

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
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
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# What corpora and models hold may drive a terminal (set its title, clear it, worse); shown, it is what it is.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    """Return a text whose control characters stand there as they are written in code; tab and line feed stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def write_json(text: str) -> None:
    """Write JSON to stdout; its texts spell out control characters, those too that JSON lets stand."""
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error, whose message may quote a corpus, to stderr (a `sys.excepthook`)."""
    sys.stderr.write(shown("".join(traceback.format_exception(kind, error, trace))))


class SafeConsole(Console):
    """A console that prints no control character but its own."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            one if one.control else Segment(shown(one.text), one.style, one.control) for one in buffer
        )


# Everything for people goes to stderr; stdout carries results (tables, JSON, translations) and can be piped.
console = SafeConsole(stderr=True, highlight=False)
results = SafeConsole(highlight=False)
# Wide enough for Table 4 with intervals; a pipe has no width of its own.
_PIPE_WIDTH = 120
if not results.is_terminal:
    results = SafeConsole(highlight=False, width=_PIPE_WIDTH)


@contextmanager
def quiet(what: Console, wanted: bool = True) -> Iterator[None]:
    """Let a console print nothing where that is wanted, while in this context."""
    before = what.quiet
    what.quiet = before or wanted
    try:
        yield
    finally:
        what.quiet = before


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
_SECONDS_BETWEEN_MOVES = 0.2
# In a pipe or log a bar is a line now and then, so that nobody has to wonder whether anything goes on.
SECONDS_BETWEEN_LINES = 60.0
_STOPPING = b"\n  stopping: what is under way is finished and saved first. Ctrl-C again stops at once.\n"
_bars_shown: list[object] = []
_send: Callable[[BarUpdate], None] | None = None
_is_kept = False


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


def as_much_as_fits(note: str, room: int) -> str:
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


def new_table(title: str = "", gap: int = 2) -> Table:
    """Return an empty table in the one style of all tables; ``gap``: spaces between columns."""
    return Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, gap, 0, 0))


@contextmanager
def kept_when_stopped() -> Iterator[None]:
    """End a command that is stopped from the keyboard with a word on how it goes on, and status 130."""
    global _is_kept
    before, _is_kept = _is_kept, True
    try:
        yield
    except KeyboardInterrupt:
        console.quiet = False
        console.print("stopped; finished work is kept. Run the same command again to resume.")
        raise SystemExit(130) from None
    finally:
        _is_kept = before


def is_kept() -> bool:
    """Return whether the command is inside `kept_when_stopped`."""
    return _is_kept


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question, to be asked where it is good to stop; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def remember(number: int, _: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not asked and _send is None and not console.quiet:
            # Not by the console: it may be in the middle of a line, and its lock is taken.
            os.write(2, _STOPPING)
        asked.append(number)

    earlier = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """Show a bar with the time left, where a total is known; in a pipe or log, only the line at its end.

    One bar at a time: what is done inside a longer step shows none of its own.
    """
    if _bars_shown:
        yield lambda amount=1, note="": None
        return
    if _send is not None:
        distant = _DistantBar(_send, description, total)
        _bars_shown.append(distant)
        distant(0)
        try:
            yield distant
        finally:
            _bars_shown.pop()
            distant.send(is_over=True)
        return
    with _new_bars() as bars:
        bar = _Bar(bars, bars.add_task(description, total=total, note=""))
        yield bar
        bar.finish()


@contextmanager
def bars_of_others() -> Iterator[Callable[[str, BarUpdate], None]]:
    """Show what other processes tell, each by its name: bars that move, and above them text and bars that are over."""
    with _new_bars() as bars:
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
        if time.monotonic() - self._told_at > _SECONDS_BETWEEN_MOVES:
            self.send()

    def send(self, is_over: bool = False) -> None:
        """Send what was not sent yet."""
        self._send(BarMoved(self._description, self._total, self._waiting, self._note, is_over))
        self._waiting, self._told_at = 0.0, time.monotonic()


@contextmanager
def _new_bars() -> Iterator[Progress]:
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
    with Progress(*columns, console=console) as bars:
        _bars_shown.append(bars)
        try:
            yield bars
        finally:
            _bars_shown.pop()
