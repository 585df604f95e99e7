"""Consoles for people and for results, and the one style of headings, notes and tables."""

import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.segment import Segment
from rich.table import Table

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


def heading(text: str) -> None:
    """Announce a stage."""
    console.print(text, style="bold", markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Say what was done or skipped, under the stage's heading."""
    console.print(f"  {text}", markup=False, soft_wrap=True)


def new_table(title: str = "", gap: int = 2) -> Table:
    """Return an empty table in the one style of all tables; ``gap``: spaces between columns."""
    return Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, gap, 0, 0))
