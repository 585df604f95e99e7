"""Processes that share work do not outlive the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crosstune.errors import CrosstuneError
from crosstune.runs import processes
from crosstune.runs.processes import none_ends_alone, pool_of
from tests.command_line import ENVIRONMENT
from tests.runs.test_workers import is_alive

# Two processes that work on and on, each of which has said its number.
SCRIPT = """
import signal, sys
from crosstune.runs import processes
work = "__import__('pathlib').Path({!r}, str(__import__('os').getpid())).touch() or __import__('time').sleep(600)"
with processes.pool_of(2, processes.__name__, getattr(signal, sys.argv[2])) as pool:
    for _ in pool.map(eval, [work.format(sys.argv[1])] * 2):
        pass
"""


def started(folder: Path, on_interrupt: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Return a process that shares its work with two others, in a group of their own, and the numbers of these."""
    command = [sys.executable, "-c", SCRIPT, str(folder), on_interrupt]
    process = subprocess.Popen(command, env=ENVIRONMENT, process_group=0, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(numbers := [int(path.name) for path in folder.iterdir()]) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process, numbers


def wait_until_none_is_alive(numbers: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(is_alive, numbers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("on_interrupt", ["SIG_IGN", "SIG_DFL"])
def test_they_end_when_the_one_that_started_them_is_killed(tmp_path: Path, on_interrupt: str) -> None:
    process, numbers = started(tmp_path, on_interrupt)
    process.kill()
    process.wait()
    wait_until_none_is_alive(numbers)


@pytest.mark.slow
def test_work_that_is_begun_anew_is_waited_for_by_nobody_who_pressed_ctrl_c(tmp_path: Path) -> None:
    process, numbers = started(tmp_path, "SIG_DFL")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) != 0
    wait_until_none_is_alive(numbers)


@pytest.mark.slow
def test_one_that_ends_in_the_middle_of_its_work_is_an_error_that_says_what_to_do() -> None:
    with (
        pytest.raises(CrosstuneError, match=r"ended without a message.*taskset -c 0"),
        none_ends_alone(),
        pool_of(1, processes.__name__) as pool,
    ):
        pool.submit(eval, "__import__('os')._exit(1)").result()
