"""What is said of a judge's verdicts."""

from crosstune.judge.ask import Judged
from crosstune.judge.pairs import Pair
from crosstune.judge.summary import wins_of


def test_p_values_are_corrected_for_all_that_is_judged() -> None:
    pairs = [Pair(task, "1", "?", "ours", "theirs", ("x", "y")) for task in ("one", "two", "three")]
    wins = wins_of(Judged(pair, "A", "B") for pair in pairs for _ in range(6))
    assert [(one.p, one.p_holm) for one in wins] == [(2 / 2**6, 3 * 2 / 2**6)] * 3
