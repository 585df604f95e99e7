"""The plan of the batches: every row once an epoch, the same on every rank, within the budget."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.models.packing import lay_out
from crosstune.models.plain import Way, num_passes
from crosstune.recipe import Phase
from crosstune.train.batches import Schedule, Share, make_batch, make_schedule, split_over_ranks
from crosstune.train.rows import Row, Rows, Segment
from tests.train.conftest import phase


def seen(schedule: Schedule) -> list[list[int]]:
    return [schedule.rows_of_step(step).tolist() for step in range(schedule.num_steps)]


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(1, 12), st.floats(0.1, 4))
@settings(max_examples=80)
def test_every_row_is_seen_once_an_epoch(num_rows: int, batch_size: int, num_epochs: float) -> None:
    content = {**phase(global_batch_size=batch_size), "num_steps": None, "num_epochs": num_epochs}
    schedule = make_schedule(num_rows, Phase.model_validate_json(json.dumps(content)), (1, 0))
    batches = seen(schedule)
    order = [row for batch in batches for row in batch]
    assert len(order) == max(1, round(num_epochs * num_rows))
    assert all(len(batch) == batch_size for batch in batches[:-1]) and 1 <= len(batches[-1]) <= batch_size
    for first in range(0, len(order), num_rows):
        epoch = order[first : first + num_rows]
        assert len(set(epoch)) == len(epoch)


def test_epochs_and_phases_have_orders_of_their_own() -> None:
    whole = [row for batch in seen(Schedule(20, 40, 5, (1, 0))) for row in batch]
    other_phase = [row for batch in seen(Schedule(20, 20, 5, (1, 1))) for row in batch]
    assert whole[:20] != whole[20:] and whole[:20] != other_phase
    assert whole == [row for batch in seen(Schedule(20, 40, 5, (1, 0))) for row in batch]


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 200))
def test_a_step_sees_its_stretch_of_the_permutations_of_the_epochs(num_rows: int, size: int, num_seen: int) -> None:
    schedule = Schedule(num_rows, num_seen, size, (5, 1))
    orders = [np.random.default_rng([5, 1, epoch]).permutation(num_rows) for epoch in range(num_seen // num_rows + 1)]
    expected = np.concatenate(orders)[:num_seen]
    for step in [*range(schedule.num_steps), 0]:  # also back to an order that was let go
        assert schedule.rows_of_step(step).tolist() == expected[step * size : (step + 1) * size].tolist()
    values = np.arange(num_rows) ** 2
    assert schedule.sum_of_seen(values) == values[expected].sum()


def test_an_order_is_drawn_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    real = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: drawn.append(seed[-1]) or real(seed))
    schedule = Schedule(1000, 3000, 7, (1, 0))
    assert len(seen(schedule)) == 429
    assert drawn == [0, 1, 2]


def make_row(tokens: list[int], index: int) -> Row:
    return (Segment((1, *tokens, 2), 1, 3, "en", str(index)),)


def split(rows: list[Row], num_ranks: int, budget: int, way: Way = "packed") -> list[list[list[Segment]]]:
    whole = Rows.of(rows)
    ranks = split_over_ranks(whole, range(len(rows)), num_ranks, budget, way)
    return [[whole.segments(micro_batch) for micro_batch in rank] for rank in ranks]


def test_a_model_that_does_not_read_rows_packed_gets_one_row_or_one_padded_batch_at_a_time() -> None:
    instruction = list(range(3, 23))
    rows = [make_row([*instruction, *range(30, 31 + index)], index) for index in range(12)]
    assert [len(micro_batch) for micro_batch in split(rows, 1, 120)[0]] == [12]
    assert [len(micro_batch) for micro_batch in split(rows, 1, 120, "one by one")[0]] == [1] * 12
    (padded,) = split(rows, 1, 120, "right-padded")
    lengths = [[len(segment.tokens) for segment in micro_batch] for micro_batch in padded]
    assert lengths == [[34, 33, 32], [31, 30, 29], [28, 27, 26, 25], [24, 23]]
    assert [len(micro_batch) for micro_batch in split(rows[::11], 1, 120, "right-padded")[0]] == [1, 1]


@pytest.mark.parametrize("way", ["right-padded", "one by one"])
def test_of_a_row_of_many_texts_such_a_model_gets_what_one_pass_reads_and_of_a_pair_both_answers(way: Way) -> None:
    texts = [make_row([*range(3, 4 + 5 * number)], number)[0] for number in range(12)]
    rows = Rows.of([tuple(texts[:7]), tuple(texts[7:8]), tuple(texts[8:])], [f"f:{number}" for number in range(12)])
    shares = [make_batch(rows, 0, np.arange(3), Share(rank, 2, 120, way)) for rank in range(2)]
    assert len({len(batch.micro_batches) for batch in shares}) == 1
    read = [segments for batch in shares for segments in batch.micro_batches if segments]
    assert all(num_passes([segment.tokens for segment in segments], way) == 1 for segments in read)
    assert sorted(int(segment.source) for segments in read for segment in segments) == [*range(12)]
    for batch in shares:
        assert batch.own_origins() == [f"f:{one.source}" for segments in batch.micro_batches for one in segments]
        assert batch.origins() == [f"f:{number}" for number in range(12)] and len(batch.any_unit) == 1
    pairs = Rows.of([(texts[0], texts[9]), (texts[1], texts[8])])
    batch = make_batch(pairs, 0, np.arange(2), Share(0, 1, 120, way, has_pairs=True))
    assert all(len(segments) % 2 == 0 for segments in batch.micro_batches) and len(batch.any_unit) == 2
    assert sorted(row for members in batch.members for row in members) == [0, 1]


@pytest.mark.slow
@given(
    st.lists(st.lists(st.integers(3, 5), max_size=30), min_size=1, max_size=25), st.integers(1, 4), st.integers(1, 80)
)
@settings(max_examples=120)
def test_the_split_keeps_every_row_and_the_budget(texts: list[list[int]], num_ranks: int, budget: int) -> None:
    rows = [make_row(tokens, index) for index, tokens in enumerate(texts)]
    ranks = split(rows, num_ranks, budget)
    assert len(ranks) == num_ranks and len({len(micro_batches) for micro_batches in ranks}) == 1
    micro_batches = [micro_batch for rank in ranks for micro_batch in rank if micro_batch]
    assert Counter(segment.source for micro_batch in micro_batches for segment in micro_batch) == Counter(
        row[0].source for row in rows
    )
    for micro_batch in micro_batches:
        computed = lay_out([segment.tokens for segment in micro_batch], share_prefixes=True).num_tokens
        assert computed <= budget or len(micro_batch) == 1


def test_a_shared_beginning_counts_once_against_the_budget() -> None:
    beginning = list(range(10, 60))
    rows = [make_row([*beginning, 100 + index], index) for index in range(8)]
    assert len(split(rows, 1, 51 + 8 * 2)[0]) == 1
    assert len(split(rows, 1, 51 + 8)[0]) > 1


def test_ranks_get_about_equal_work() -> None:
    rows = [make_row([3 + index] * (5 + index % 40), index) for index in range(200)]
    work = [sum(len(s.tokens) for batch in rank for s in batch) for rank in split(rows, 4, 500)]
    assert max(work) < 1.05 * min(work)


def test_micro_batches_of_a_step_are_about_equal_and_as_few_as_the_budget_allows() -> None:
    rows = [make_row([3 + index] * (5 + index % 40), index) for index in range(20)]
    work = [sum(len(s.tokens) for s in batch) for batch in split(rows, 1, 200)[0]]
    total = sum(len(row[0].tokens) for row in rows)
    assert total == 330 and len(work) == 2
    assert max(work) - min(work) < 2 * max(len(row[0].tokens) for row in rows)


def test_where_each_micro_batch_needs_a_long_beginning_even_ones_are_not_more() -> None:
    beginning = list(range(10, 60))
    rows = [make_row([*beginning, 100 + index], index) for index in range(8)]
    for budget in range(53, 75):
        sizes = [len(batch) for batch in split(rows, 1, budget)[0]]
        assert len(sizes) == -(-8 // ((budget - 51) // 2))
