"""Several pieces of work at the same time, each in a process of its own, shown as one.

Small models cannot use many CPU cores each: two trained beside one another end long before the same two with twice the
threads. A GPU is kept busy by one.
"""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from crosstune.errors import CrosstuneError, advice_on
from crosstune.runs import ranks
from crosstune.runs.processes import context_of, end_with_parent, num_cores
from crosstune.terminal.bars import BarUpdate, bars_of_others, show_elsewhere
from crosstune.terminal.output import console
from crosstune.terminal.stopping import stop_requests

Call = Callable[[], None]

_SECONDS_BETWEEN_LOOKS = 0.2
# As a shell tells of a program that was stopped from the keyboard.
_STOPPED = 130


@dataclass(frozen=True)
class _Failure:
    """What a process says of the error that ended it."""

    message: str
    is_foreseen: bool


@dataclass(frozen=True)
class _Running:
    process: BaseProcess
    told: Connection
    num_threads: int


def at_once(wanted: int) -> int:
    """Return how many pieces of work run at the same time: one on a GPU, or where several processes were launched."""
    if wanted == 1 or torch.cuda.is_available() or ranks.num_ranks() > 1:
        return 1
    return min(wanted, num_cores())


def load_ahead(modules: Collection[str], wanted: int) -> None:
    """Let one process load what processes of later pieces of work need, while this one does something else.

    Args:
        modules: of the later work.
        wanted: how many pieces of work the recipe wants at the same time.
    """
    if at_once(wanted) > 1 and context_of(*modules).get_start_method() == "forkserver":
        forkserver.ensure_running()


def run_side_by_side(
    names: Sequence[str],
    after: Mapping[str, Collection[str]],
    call_of: Callable[[str], Call | None],
    limit: int,
    fillers: Collection[str] = (),
) -> None:
    """Do the work of every name, at most so many at a time, the first in the order first.

    Args:
        names: of the pieces of work.
        after: the names whose work has to be done before that of a name begins.
        call_of: returns the work of a name when its turn comes; None where nothing is to be done. The call goes to
            another process: it and what it holds can be pickled.
        limit: how many run at the same time; they share the cores. With one, the work is done in this process, and
            the order has to fit ``after``.
        fillers: names of further work, which somebody does later if it is not done here. One is begun only where a
            core would be idle while others work, with one thread; an early death of it stops nobody.

    Raises:
        CrosstuneError: when one fails; the others are stopped as by Ctrl-C.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when all have stopped.
    """
    if limit == 1:
        for call in filter(None, map(call_of, names)):
            call()
        return
    waiting, spare, running = list(names), list(fillers), dict[str, _Running]()
    with bars_of_others() as show, stop_requests() as stop_requested:
        try:
            while waiting or running:
                _start_what_can(waiting, running, after, call_of, limit)
                _fill_idle_cores(spare, waiting, running, after, call_of, limit)
                _listen(running, show)
                for name in [name for name, one in running.items() if not one.process.is_alive()]:
                    _end(name, running.pop(name), show, is_needed=name not in fillers)
                if stop_requested():
                    raise KeyboardInterrupt
        except BaseException:
            _stop(running, show)
            raise


def _start_what_can(
    waiting: list[str],
    running: dict[str, _Running],
    after: Mapping[str, Collection[str]],
    call_of: Callable[[str], Call | None],
    limit: int,
) -> None:
    def ready() -> list[str]:
        return _ready(waiting, {*waiting, *running}, after)

    while len(running) < limit and ready():
        num_workers = min(limit, len(running) + len(ready()))
        _begin_first(ready(), waiting, running, call_of, max(1, num_cores() // num_workers))


def _fill_idle_cores(
    spare: list[str],
    waiting: list[str],
    running: dict[str, _Running],
    after: Mapping[str, Collection[str]],
    call_of: Callable[[str], Call | None],
    limit: int,
) -> None:
    """Begin spare work beside what runs: what runs was given its threads for all its time, so these are left."""
    while running and len(running) < limit and sum(one.num_threads for one in running.values()) < num_cores():
        ready = _ready(spare, {*waiting, *running}, after)
        if not ready:
            return
        _begin_first(ready, spare, running, call_of, 1)


def _begin_first(
    ready: Sequence[str],
    waiting: list[str],
    running: dict[str, _Running],
    call_of: Callable[[str], Call | None],
    num_threads: int,
) -> None:
    name = ready[0]
    waiting.remove(name)
    call = call_of(name)
    if call is not None:
        running[name] = _started(name, call, num_threads)


def _ready(names: Sequence[str], unfinished: Collection[str], after: Mapping[str, Collection[str]]) -> list[str]:
    return [name for name in names if not {*after.get(name, ())} & {*unfinished}]


def _started(name: str, call: Call, num_threads: int) -> _Running:
    work = call.func if isinstance(call, partial) else call
    context = context_of(work.__module__)
    told, tell = context.Pipe(duplex=False)
    quiet, width = console.quiet, console.width
    process = context.Process(target=_work, args=(call, tell, num_threads, quiet, width), name=name)
    process.start()
    tell.close()
    return _Running(process, told, num_threads)


def _work(call: Call, tell: Connection, num_threads: int, quiet: bool, width: int) -> None:
    """Do a piece of work in this process, and tell the one that started it what there is to show."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the process that started this one passes it on
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=end_with_parent, daemon=True).start()
    show_elsewhere(tell.send, quiet, width)
    torch.set_num_threads(num_threads)
    try:
        call()
    except KeyboardInterrupt:
        sys.exit(_STOPPED)
    except Exception as error:
        # Its last word; a request to stop must not cut it short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        foreseen = str(error) if isinstance(error, CrosstuneError) else advice_on(error)
        tell.send(_Failure(traceback.format_exc() if foreseen is None else foreseen, foreseen is not None))
        sys.exit(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _listen(running: Mapping[str, _Running], show: Callable[[str, BarUpdate], None]) -> None:
    """Wait a moment for what the processes have to tell, and show it."""
    if not running:
        return
    names = {one.told: name for name, one in running.items()}
    for told in connection.wait(list(names), timeout=_SECONDS_BETWEEN_LOOKS):
        assert isinstance(told, Connection)
        try:
            while told.poll():
                message = told.recv()
                if isinstance(message, _Failure):
                    raise _error(message)
                show(names[told], message)
        except EOFError:
            # It has ended, or is about to: without a pause this would be asked again and again.
            time.sleep(_SECONDS_BETWEEN_LOOKS / 10)


def _end(name: str, ended: _Running, show: Callable[[str, BarUpdate], None], is_needed: bool) -> None:
    """Show what a process told last, and complain where its end was not a good one."""
    _listen({name: ended}, show)
    ended.process.join()
    if ended.process.exitcode == _STOPPED:
        raise KeyboardInterrupt
    if ended.process.exitcode and is_needed:
        raise CrosstuneError(
            f"{name}: its process ended with status {ended.process.exitcode} and no message; on Linux, -9 usually "
            f"means out of memory. Lower systems_at_once: each process holds its own model. Finished work is kept; "
            f"run the same command again to resume"
        )


def _error(failure: _Failure) -> Exception:
    return CrosstuneError(failure.message) if failure.is_foreseen else RuntimeError(failure.message)


def _stop(running: Mapping[str, _Running], show: Callable[[str, BarUpdate], None]) -> None:
    """Ask all processes to save and end, and wait until they have."""
    for one in running.values():
        one.process.terminate()
    for name, one in running.items():
        # A process whose pipe is full would wait for a reader.
        while one.process.is_alive():
            try:
                _listen({name: one}, show)
            except (CrosstuneError, RuntimeError):
                continue
        one.process.join()
