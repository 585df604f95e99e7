"""Batches are read ahead in a thread, in their order, from any step on."""

import threading

import numpy as np
import pytest

from crosstune.errors import BadInputError
from crosstune.train.batches import Schedule, Share
from crosstune.train.loader import batches
from crosstune.train.rows import Rows, Segment

ROWS = Rows.of(
    [(Segment((1, 5 + index, 2), 1, 3, "en", "a"),) for index in range(10)], [f"f:{index}" for index in range(10)]
)
SCHEDULE = Schedule(10, 25, 4, (1, 0))
SHARE = Share(0, 1, 100)


def test_batches_come_in_their_order_from_a_step_on_and_count_what_is_in_them() -> None:
    found = list(batches(ROWS, SCHEDULE, 2, SHARE))
    assert [batch.step for batch in found] == [2, 3, 4, 5, 6]
    for batch in found:
        expected = SCHEDULE.rows_of_step(batch.step).tolist()
        (micro_batch,) = batch.micro_batches
        assert sorted(segment.tokens[1] - 5 for segment in micro_batch) == sorted(expected)
        assert batch.own_origins() == [f"f:{segment.tokens[1] - 5}" for segment in micro_batch]
        assert batch.origins() == [f"f:{place}" for place in expected]
        assert (batch.num_tokens, batch.supervised) == (3 * len(expected), {("en", "a"): 2 * len(expected)})


def test_every_rank_reads_its_own_part_and_knows_the_counts_of_all() -> None:
    shares = [list(batches(ROWS, SCHEDULE, 0, Share(rank, 3, 6))) for rank in range(3)]
    for step, parts in enumerate(zip(*shares, strict=True)):
        read = [segment.tokens[1] - 5 for batch in parts for micro in batch.micro_batches for segment in micro]
        origins = [origin for batch in parts for origin in batch.own_origins()]
        assert origins == [f"f:{place}" for place in read]
        assert sorted(origins) == sorted(f"f:{place}" for place in SCHEDULE.rows_of_step(step))
        assert len({batch.num_supervised for batch in parts}) == len({len(batch.micro_batches) for batch in parts}) == 1


def test_the_next_batches_are_read_while_one_is_used_but_not_all_of_them() -> None:
    read: list[str] = []
    loader = batches(ROWS, SCHEDULE, 0, SHARE, lambda: read.append(threading.current_thread().name))
    next(loader)
    loader.close()
    # Three batches are read or waiting for it, each looks at the files twice; there are seven.
    assert 1 <= len(read) <= 6 and all(name.startswith("batches") for name in read)
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())


@pytest.mark.parametrize("look", [4, 5], ids=["before it is read", "while it is read"])
def test_a_batch_of_a_file_that_was_cut_is_used_by_no_step(look: int) -> None:
    calls = iter(range(100))

    def check() -> None:
        if next(calls) == look:
            raise BadInputError("a file was cut")

    found = []
    with pytest.raises(BadInputError, match="a file was cut"):
        for batch in batches(ROWS, SCHEDULE, 0, SHARE, check):
            found.append(batch.step)
    assert found == [0, 1]


def test_a_row_is_read_only_when_it_is_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = Rows.segments
    monkeypatch.setattr(Rows, "segments", lambda self, places: read.extend(places) or real(self, places))
    next(batches(ROWS, Schedule(10, 4, 4, (1, 0)), 0, SHARE))
    assert sorted(read) == sorted(np.random.default_rng([1, 0, 0]).permutation(10)[:4])
