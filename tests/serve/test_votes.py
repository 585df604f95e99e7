"""A vote on the comparison page becomes preferences."""

from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.runs.files import read_jsonl
from crosstune.serve.decoding import Decoding
from crosstune.serve.playground import compare
from crosstune.serve.votes import Shown, save_vote

SHOWN = Shown("Translate.", "I go.", ("간다", "가", "간다"), Decoding(8), is_blind=True)


def test_each_answer_that_was_passed_over_is_a_row_and_equal_ones_are_none(tmp_path: Path) -> None:
    file = tmp_path / "preferences.jsonl"
    assert save_vote(file, SHOWN, ["base", "paper", "ours"], 0) == 1
    assert save_vote(file, SHOWN, ["base", "paper", "ours"], 1) == 2
    rows = read_jsonl(file)
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == [
        ("Translate.\nI go.", "간다", "가"),
        ("Translate.\nI go.", "가", "간다"),
        ("Translate.\nI go.", "가", "간다"),
    ]
    assert [(row["chosen_system"], row["rejected_system"]) for row in rows[1:]] == [
        ("paper", "base"),
        ("paper", "ours"),
    ]
    assert all(row["blind"] and row["decoding"]["max_new_tokens"] == 8 for row in rows)


def test_votes_that_cannot_be_written_are_told_before_the_page_opens(tmp_path: Path) -> None:
    for file in (tmp_path / "nowhere" / "votes.jsonl", tmp_path):
        with pytest.raises(BadInputError, match="make its folder, or name another"):
            compare([tmp_path], 7860, 1, file)
