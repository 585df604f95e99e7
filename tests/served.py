"""A server that a command of crosstune starts, at a port that is free."""

import random
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests import warm


def free_port(lowest: int = 0, highest: int = 0) -> int:
    """Return a port that nobody listens at: one that the system gives away, or one of those asked for."""
    for _ in range(1000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", random.randint(lowest, highest)))
            return int(free.getsockname()[1])
    raise OSError(f"none of the ports {lowest} to {highest} is free")


@contextmanager
def served(*arguments: str, path: str = "") -> Iterator[str]:
    """Run a command that serves until it is stopped; yield its address as soon as `path` is answered."""
    port = free_port()
    process = warm.Process("crosstune", *arguments, "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}{path}", process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(page: str, process: warm.Process) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended: {process.said()[1][-2000:]}"
        with suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(page, timeout=1)
            return
        time.sleep(0.1)
    raise TimeoutError(page)
