"""What the evaluate stage writes is what the report reads."""

import json
import math

import pytest

from crosstune.runs.records import OutputRow, Score, hash_of_items, same_items

WRITTEN = OutputRow(
    "pairs_en_ko_ko_w03",
    "17",
    "Translate: The cat sleeps.",
    "고양이가 잔다.",
    "고양이가 잔다.",
    None,
    references=("고양이가 잔다.", "고양이는 잔다."),
    wordings_of="pairs_en_ko_ko",
    finished=True,
    failures=(),
)
CHOSEN = OutputRow("hellaswag", "3", "A boy", " sings.", " runs.", False, log_likelihoods=(-1.5, -2.0))


@pytest.mark.parametrize("row", [WRITTEN, CHOSEN])
def test_an_answer_is_read_as_it_was_written(row: OutputRow) -> None:
    assert OutputRow.of_row(json.loads(json.dumps(row.row()))) == row


def test_an_answer_leaves_out_what_is_not_there_but_not_an_empty_list_of_failures() -> None:
    assert "failures" not in CHOSEN.row() and WRITTEN.row()["failures"] == []
    assert CHOSEN.row()["correct"] is False and WRITTEN.row()["correct"] is None


def test_an_answer_without_a_task_is_refused() -> None:
    with pytest.raises(KeyError, match="task"):
        OutputRow.of_row({"id": "1", "output": "x"})


def test_a_score_is_read_as_it_was_written() -> None:
    score = Score("hellaswag", "acc", 0.5, 0.4, 0.6, 100, "v1|ci:wilson", "wilson", "abc")
    assert Score.of_row(json.loads(json.dumps(score.row()))) == score
    assert Score.of_row({**score.row(), "value": math.nan}) is None
    assert Score.of_row({**score.row(), "low": None}) == Score(
        *("hellaswag", "acc", 0.5), None, *(0.6, 100, "v1|ci:wilson"), "wilson", "abc"
    )


def test_items_are_the_same_only_in_the_same_order_and_with_the_same_borders() -> None:
    assert hash_of_items(["a", "b"]) == hash_of_items(iter(["a", "b"]))
    assert len({hash_of_items(items) for items in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], [])}) == 5
    scores = [Score("t", "acc", 0.5, None, None, 2, "", items=items) for items in ("x", "x", "y", "")]
    assert same_items(scores[:2]) and not same_items(scores[1:3]) and not same_items(scores[3:])
