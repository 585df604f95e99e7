"""What a test does decides which tier it is in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import ENVIRONMENT

TESTS = """
import multiprocessing, os, subprocess, sys, types
import pytest

# Stands for the loop of training, which takes seconds to load.
sys.modules["crosstune.train.loop"] = loop = types.ModuleType("crosstune.train.loop")
loop.train_step = lambda: None

def work():
    pass

def spawns():
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()

def forks():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

@pytest.fixture
def made_by_a_process():
    subprocess.run([sys.executable, "-c", ""])

def test_neither():
    subprocess.run(["git", "--version"])
def test_spawns():
    spawns()
def test_forks():
    forks()
def test_calls():
    subprocess.run([sys.executable, "-c", ""])
def test_calls_before(made_by_a_process):
    pass
def test_trains():
    loop.train_step()
@pytest.mark.whole
def test_marked():
    forks()
@pytest.mark.slow
def test_marked_as_slow():
    spawns()
"""


def test_a_fast_test_that_trains_or_starts_a_process_fails(tmp_path: Path) -> None:
    (tmp_path / "test_tiers_of_these.py").write_text(TESTS, encoding="utf-8")
    root = Path(__file__).parent.parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.tiers",
        "-c",
        str(root / "pyproject.toml"),
        "-rA",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    ends = {name: end for end, name in re.findall(r"^(PASSED|FAILED) \S*::(\w+)", done.stdout, flags=re.MULTILINE)}
    passes = {"test_neither", "test_marked", "test_marked_as_slow"}
    fails = {"test_spawns", "test_forks", "test_calls", "test_calls_before", "test_trains"}
    assert ends == dict.fromkeys(passes, "PASSED") | dict.fromkeys(fails, "FAILED"), done.stdout[-3000:]
    assert "a test of the fast tier, but it trained: mark it `whole`" in done.stdout


def starts(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True)


@pytest.fixture
def started() -> None:
    starts("-c", "")


def test_what_a_test_calls_marks_it(request: pytest.FixtureRequest) -> None:
    starts("-c", "")
    assert request.node.get_closest_marker("whole")


def test_what_a_fixture_calls_marks_a_test(request: pytest.FixtureRequest, started: None) -> None:
    assert request.node.get_closest_marker("whole")


def test_what_calls_neither_is_not_marked(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("whole")
