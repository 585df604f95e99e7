"""Batches are worked on side by side where they are many, and their results come in order."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crosstune.errors import CrosstuneError
from crosstune.runs import in_order
from crosstune.runs.in_order import Chunk, InOrder
from tests.command_line import ENVIRONMENT


# The work is `eval`: processes that other tests have started may not find a module of tests.
def squared(number: int) -> str:
    return f"({number}**2, __import__('os').getpid())"


def refusing(number: int) -> str:
    return f"{number}**2 if {number} != 3 else int('three')"


def ending(number: int) -> str:
    return f"__import__('os')._exit({number})"


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> Iterator[InOrder]:
    monkeypatch.setattr(in_order, "num_cores", lambda: 2)
    monkeypatch.setattr(in_order, "MIN_SIZE", 100)
    made = InOrder(in_order.__name__)
    yield made
    made.close()


def batches(number: int, work: Callable[[int], str] = squared) -> Iterator[Chunk[str, str]]:
    return (Chunk(f"number {one}", work(one), 10) for one in range(number))


def test_few_batches_are_worked_on_in_this_process(side_by_side: InOrder) -> None:
    for made in (side_by_side, InOrder()):
        assert [*made.map(eval, batches(9))] == [(f"number {one}", (one**2, os.getpid())) for one in range(9)]


def test_without_a_module_or_with_one_core_nothing_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order, "num_cores", lambda: 1)
    for made in (InOrder(), InOrder(in_order.__name__)):
        read: list[int] = []
        done = made.map(eval, (Chunk(read.append(one), str(one), 1) for one in range(9)))
        next(done)
        assert read == [0]


@pytest.mark.slow
def test_many_are_worked_on_in_others_and_come_in_order(side_by_side: InOrder) -> None:
    done = [*side_by_side.map(eval, batches(50))]
    assert [(kept, result[0]) for kept, result in done] == [(f"number {one}", one**2) for one in range(50)]
    processes = {result[1] for _, result in done}
    assert os.getpid() not in processes
    # Processes that were started stay for few batches, too; either of the two may have done all so far.
    processes |= {result[1] for _, result in side_by_side.map(eval, batches(2))}
    assert os.getpid() not in processes and len(processes) <= 2


@pytest.mark.slow
def test_no_more_is_read_ahead_than_memory_should_hold(side_by_side: InOrder) -> None:
    read: list[int] = []
    largest = 0
    made = (Chunk(read.append(one), str(one), 10) for one in range(200))
    for number, _ in enumerate(side_by_side.map(eval, made)):
        largest = max(largest, len(read) - number)
    assert largest <= 11


@pytest.mark.slow
def test_an_error_comes_where_its_batch_stands(side_by_side: InOrder) -> None:
    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(side_by_side.map(eval, batches(50, refusing)))
    assert found == [("number 0", 0), ("number 1", 1), ("number 2", 4)]


@pytest.mark.slow
def test_a_process_that_ends_is_an_error_that_says_what_to_do(side_by_side: InOrder) -> None:
    with pytest.raises(CrosstuneError, match=r"ended without a message.*taskset -c 0"):
        list(side_by_side.map(eval, batches(50, ending)))


@pytest.mark.slow
def test_small_work_is_shared_only_with_processes_that_are_there(side_by_side: InOrder) -> None:
    assert {result[1] for _, result in side_by_side.map(eval, batches(50), may_start=False)} == {os.getpid()}
    started = {result[1] for _, result in side_by_side.map(eval, batches(50))}
    started |= {result[1] for _, result in side_by_side.map(eval, batches(50), may_start=False)}
    assert os.getpid() not in started and len(started) <= 2


SCRIPT = """
from crosstune.runs import in_order
print("begins")
in_order.MIN_SIZE = 1
work = in_order.InOrder(in_order.__name__)
print(*(found for _, found in work.map(eval, [in_order.Chunk(None, f"{of} ** 2", 1) for of in range(3)])))
work.close()
print(__file__)
"""


@pytest.mark.slow
def test_a_script_needs_no_guard_against_being_loaded_again(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["begins", "0 1 4", str(script), ""]
