"""Rows that cannot be learnt from are dropped, each with its reason and place; the rest stays as it was."""

import json
from pathlib import Path

import pytest

from crosstune.data import filters
from crosstune.data.rows import Drops, Row

NFD_GA = "\u1100\u1161"


def reasons(texts: dict[str, str], kind: filters.Kind, evaluation: dict[str, str] | None = None) -> list[str]:
    drops = Drops()
    kept = list(filters.keep_usable([Row("f:1", texts)], kind, "s", evaluation or {}, drops))
    assert len(kept) + len(drops.records) == 1
    return [drop["reason"] for drop in drops.records]


def test_texts_become_nfc_without_control_characters() -> None:
    assert filters.clean(f" {NFD_GA}\x00나\ufeff\t다\r\n라\n") == "가나\t다\n라"


@pytest.mark.parametrize("sign", ["\r", "\x0b", "\x0c", "\x85"])
def test_old_line_ends_and_form_feeds_part_words(sign: str) -> None:
    assert filters.clean(f"가{sign}나") == "가\n나"


@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        ({"en": "Go.", "ko": "가."}, "parallel", []),
        ({"en": "Go.", "ko": " \x00"}, "parallel", ["empty"]),
        ({"en": "SELECT  1", "ko": "SELECT 1"}, "parallel", ["identical sides"]),
        ({"instruction": "안녕", "input": "", "output": "네"}, "instructions", []),
        ({"instruction": "안녕", "input": "", "output": ""}, "instructions", ["empty"]),
        ({"instruction": "네", "input": "", "output": "네"}, "instructions", []),
        ({"text": ""}, "text", ["empty"]),
    ],
)
def test_empty_and_identical_sides_are_dropped(texts: dict[str, str], kind: filters.Kind, expected: list[str]) -> None:
    assert reasons(texts, kind) == expected


@pytest.mark.parametrize(
    ("texts", "kind", "overlaps"),
    [
        ({"en": "Come in.", "ko": f"{NFD_GA}을이   왔다."}, "parallel", True),
        ({"en": "The sun was rising.", "ko": "해가 떴다."}, "parallel", True),
        ({"instruction": "다시 써라", "input": "가을이 왔다.", "output": "왔다."}, "instructions", True),
        ({"text": "It was day. The  sun was rising. He sang."}, "text", True),
        ({"text": 'He said: "Go." The sun was rising.'}, "text", True),
        ({"text": "A line\nThe sun was rising.\nand more"}, "text", True),
        ({"text": "Two came. Then three came in.\nNext"}, "text", True),
        ({"text": "가을이  왔다."}, "text", True),
        ({"text": "가을이 왔다. 잎이 졌다."}, "text", False),
        ({"text": "The sun was rising over the hill."}, "text", False),
        ({"en": "The sun was rising slowly.", "ko": "해가 천천히 떴다."}, "parallel", False),
    ],
)
def test_rows_with_an_evaluation_text_are_dropped(
    tmp_path: Path, texts: dict[str, str], kind: filters.Kind, overlaps: bool
) -> None:
    items = [
        {"id": "1", "origin": "x:1", "choice1": "The sun was rising.", "choice2": "", "label": 0, "question": "cause"},
        {"id": "2", "origin": "x:2", "document": "가을이 왔다.", "label": 1},
        {
            "id": "3",
            "origin": "x:3",
            "ctx_a": "Two came.",
            "ctx_b": "Then three came in.",
            "endings": ["a b"],
            "label": 0,
        },
    ]
    (tmp_path / "copa").mkdir()
    (tmp_path / "copa" / "items.jsonl").write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")
    evaluation = filters.evaluation_texts([tmp_path / "copa"])
    assert reasons(texts, kind, evaluation) == (["evaluation overlap: copa"] if overlaps else [])


def test_labels_ids_and_half_contexts_are_no_evaluation_texts(tmp_path: Path) -> None:
    item = {"id": "cause", "origin": "o", "ctx_a": "A.", "ctx_b": "he", "activity_label": "Surfing", "endings": ["b"]}
    (tmp_path / "items.jsonl").write_text(json.dumps({**item, "label": 0}))
    assert set(filters.evaluation_texts([tmp_path])) == {"A.", "b", "A. he"}


def test_duplicates_are_dropped_with_the_place_of_the_first() -> None:
    rows = [Row("f:1", {"text": "가 나"}), Row("f:2", {"text": f"{NFD_GA}  나"}), Row("f:3", {"text": "다"})]
    drops, seen = Drops(), filters.Seen()
    assert filters.drop_duplicates(rows, "s", seen, drops) == [rows[0], rows[2]]
    assert drops.records[0]["reason"] == "duplicate"
    assert drops.records[0]["row"]["same_as"] == "s f:1"
    assert drops.counts("other") == {}


def test_a_row_used_again_in_another_part_is_no_duplicate_but_another_source_s_is() -> None:
    rows, seen = [Row("f:1", {"text": "가"})], filters.Seen()
    assert filters.drop_duplicates(rows, "s", seen, Drops()) == rows
    assert filters.drop_duplicates(rows, "s", seen, Drops()) == rows
    assert filters.drop_duplicates(rows, "t", seen, Drops()) == []
