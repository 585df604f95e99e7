"""A server that a command of crosstune starts, at a port that is free."""

import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.command_line import ENVIRONMENT


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
    command = [sys.executable, "-m", "crosstune", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}{path}", process)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(page: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(page, timeout=1)
            return
        time.sleep(0.1)
    raise TimeoutError(page)
