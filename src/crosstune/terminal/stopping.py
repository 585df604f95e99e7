"""What happens when somebody stops a command: finished work is kept, and what is under way is finished first."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crosstune.terminal.bars import is_shown_elsewhere
from crosstune.terminal.output import console

_STOPPING = b"\n  stopping: what is under way is finished and saved first. Ctrl-C again stops at once.\n"
_is_kept = False


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
        if not asked and not is_shown_elsewhere() and not console.quiet:
            # Not by the console: it may be in the middle of a line, and its lock is taken.
            os.write(2, _STOPPING)
        asked.append(number)

    earlier = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
