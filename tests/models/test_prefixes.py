"""Rows that begin alike are found whatever their tokens are kept in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.models.prefixes import MIN_SHARED_TOKENS, runs_with_shared_prefix

TOKENS = st.lists(st.sampled_from([0, 1, 255, 256, 65_536, 2**31 - 1]), max_size=24)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 14), TOKENS), max_size=12))
def test_runs_stand_in_the_order_of_the_rows_and_share_what_they_begin_with(drawn: list[tuple[int, list[int]]]) -> None:
    rows = [[7] * number + tokens for number, tokens in drawn]
    runs = runs_with_shared_prefix(rows)
    assert [member for _, members in runs for member in members] == sorted(range(len(rows)), key=lambda at: rows[at])
    for shared, members in runs:
        assert (shared >= MIN_SHARED_TOKENS) == (len(members) > 1)
        assert all(rows[member][:shared] == rows[members[0]][:shared] for member in members)
    assert runs == runs_with_shared_prefix([np.array(row, np.int32) for row in rows])
