"""How processes are started, how many, and how they end."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_all_start_methods, get_context, parent_process
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from crosstune.errors import CrosstuneError


class _WithoutScript(ForkServerProcess):
    """A process that does not load the script of this one, as they do otherwise: it would call us a second time."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        script = vars(sys.modules["__main__"])
        names: dict[str, Any] = {name: script[name] for name in ("__file__", "__spec__") if name in script}
        script.update(dict.fromkeys(names))
        try:
            return ForkServerProcess._Popen(process_obj)
        finally:
            script.update(names)


class _Context(ForkServerContext):
    Process = _WithoutScript


def context_of(*modules: str) -> Any:
    """Return how processes are started: as forks of one that has loaded what the work needs, and no thread runs in.

    A fork of this process would share locks of threads that it does not have; a new process loads torch and its like
    for seconds. The first piece of work decides what is loaded beforehand: its own modules, and what of ours this
    process has loaded, since it may soon start work of another kind. What they do lies in modules, not in a script.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = _Context()
    ours = {name for name in sys.modules if name.startswith("crosstune.") and not name.endswith("__main__")}
    context.set_forkserver_preload(sorted({*modules, *ours}))
    return context


def end_with_parent() -> None:
    """End this process when the one that started it was killed: a new run would write the same files."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def pool_of(num_processes: int, module: str, on_interrupt: signal.Handlers = signal.SIG_IGN) -> ProcessPoolExecutor:
    """Return processes that share work which a module holds, and end when this one is killed.

    ``on_interrupt`` is what Ctrl-C does to them: it reaches all, and this process is told of it, too.
    """
    return ProcessPoolExecutor(num_processes, context_of(module), initializer=_begin, initargs=(on_interrupt,))


def _begin(on_interrupt: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, on_interrupt)
    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def none_ends_alone() -> Iterator[None]:
    """Say what to do where a process of a pool ends in the middle of its work.

    Raises:
        CrosstuneError: when one does.
    """
    try:
        yield
    except BrokenProcessPool:
        raise CrosstuneError(
            "a process that shared the work ended without a message; on Linux this usually means out of memory: "
            "let it run on fewer cores (taskset -c 0 crosstune ...)"
        ) from None


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
