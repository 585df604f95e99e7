"""Batches are worked on side by side where they are many, and their results come in order."""

import os
from collections.abc import Iterator

import pytest

from crosstune.errors import BadInputError, CrosstuneError
from crosstune.runs import in_order
from crosstune.runs.in_order import Batch, InOrder


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def refusing(number: int) -> int:
    if number == 3:
        raise BadInputError("three cannot be squared")
    return number**2


def ending(number: int) -> int:
    os._exit(number)


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> Iterator[InOrder]:
    monkeypatch.setattr(in_order, "num_cores", lambda: 2)
    monkeypatch.setattr(in_order, "MIN_SIZE", 100)
    made = InOrder(__name__)
    yield made
    made.close()


def batches(number: int, size: int = 10) -> Iterator[Batch[str, int]]:
    return (Batch(f"number {one}", one, size) for one in range(number))


def test_few_batches_are_worked_on_in_this_process(side_by_side: InOrder) -> None:
    for made in (side_by_side, InOrder()):
        assert [*made.map(squared, batches(9))] == [(f"number {one}", (one**2, os.getpid())) for one in range(9)]


def test_without_a_module_or_with_one_core_nothing_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order, "num_cores", lambda: 1)
    for made in (InOrder(), InOrder(__name__)):
        read: list[int] = []
        done = made.map(squared, (Batch(read.append(one), one, 1) for one in range(9)))
        next(done)
        assert read == [0]


@pytest.mark.slow
def test_many_are_worked_on_in_others_and_come_in_order(side_by_side: InOrder) -> None:
    done = [*side_by_side.map(squared, batches(50))]
    assert [(kept, result[0]) for kept, result in done] == [(f"number {one}", one**2) for one in range(50)]
    processes = {result[1] for _, result in done}
    assert os.getpid() not in processes
    # Processes that were started stay for few batches, too.
    assert {result[1] for _, result in side_by_side.map(squared, batches(2))} <= processes


@pytest.mark.slow
def test_no_more_is_read_ahead_than_memory_should_hold(side_by_side: InOrder) -> None:
    read: list[int] = []
    largest = 0
    made = (Batch(read.append(one), one, 10) for one in range(200))
    for number, _ in enumerate(side_by_side.map(squared, made)):
        largest = max(largest, len(read) - number)
    assert largest <= 11


@pytest.mark.slow
def test_an_error_comes_where_its_batch_stands(side_by_side: InOrder) -> None:
    found = []
    with pytest.raises(BadInputError, match="three cannot be squared"):
        found.extend(side_by_side.map(refusing, batches(50)))
    assert found == [("number 0", 0), ("number 1", 1), ("number 2", 4)]


@pytest.mark.slow
def test_a_process_that_ends_is_an_error_that_says_what_to_do(side_by_side: InOrder) -> None:
    with pytest.raises(CrosstuneError, match=r"ended without a message.*taskset -c 0.*__main__"):
        list(side_by_side.map(ending, batches(50)))


@pytest.mark.slow
def test_small_work_is_shared_only_with_processes_that_are_there(side_by_side: InOrder) -> None:
    assert {result[1] for _, result in side_by_side.map(squared, batches(50), may_start=False)} == {os.getpid()}
    started = {result[1] for _, result in side_by_side.map(squared, batches(50))}
    assert {result[1] for _, result in side_by_side.map(squared, batches(50), may_start=False)} <= started
