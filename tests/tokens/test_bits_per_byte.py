"""Windows over a text: every token of it is scored once, from as much as the model reads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from crosstune.tokens.bits_per_byte import Window, bits_per_byte, windows


def test_the_windows_of_the_docstrings_example() -> None:
    found = [
        "".join(map(chr, window.context)) + "|" + "".join(map(chr, window.continuation))
        for window in windows([ord(letter) for letter in "abcdefghij"], ord("B"), 4)
    ]
    assert found == ["B|abcd", "d|efgh", "fgh|ij"]


@pytest.mark.slow
@given(st.integers(0, 40), st.integers(1, 12))
def test_windows_are_the_harness_windows(num_tokens: int, max_length: int) -> None:
    tokens = list(range(num_tokens))
    expected = [make_disjoint_window(pair) for pair in get_rolling_token_windows(tokens, -1, max_length, 1)]
    found = list(windows(tokens, -1, max_length))
    assert found == [Window(context, continuation) for context, continuation in expected]
    assert [token for window in found for token in window.continuation] == tokens
    assert all(len(window.context) + len(window.continuation) - 1 <= max_length for window in found)


def test_a_bit_a_byte_is_one() -> None:
    assert bits_per_byte(nats=8 * math.log(2), num_bytes=8) == pytest.approx(1)
