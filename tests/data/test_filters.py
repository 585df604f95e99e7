"""Rows that cannot be learnt from are dropped, each with its reason and place; the rest stays as it was."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import comparison, filters
from crosstune.data.filters import Kind
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops, Row
from crosstune.recipe import Quality

NFD_GA = "\u1100\u1161"
WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()  # noqa: SIM905


def reasons(
    texts: dict[str, str], kind: Kind, evaluation: EvaluationTexts | None = None, **quality: object
) -> list[str]:
    drops = Drops()
    language = "ko" if kind == "text" and any(ord(character) > 0x1100 for character in texts["text"]) else "en"
    checks = filters.Checks(kind, language, Quality.model_validate(quality), evaluation)
    kept = list(filters.keep_usable([Row("f:1", texts)], checks, "s", drops))
    assert len(kept) + len(drops.records) == 1
    return [drop["reason"] for drop in drops.records]


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
def test_empty_and_identical_sides_are_dropped(texts: dict[str, str], kind: Kind, expected: list[str]) -> None:
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
        ({"text": "The sun was rising over the hill."}, "text", True),
        ({"en": "The sun was rising slowly.", "ko": "해가 천천히 떴다."}, "parallel", True),
        ({"instruction": "Say why the sun was", "input": "rising", "output": "It was day."}, "instructions", True),
        ({"en": "The sun was risen.", "ko": "해가 떴다."}, "parallel", False),
    ],
)
def test_rows_with_an_evaluation_text_are_dropped(
    tmp_path: Path, texts: dict[str, str], kind: Kind, overlaps: bool
) -> None:
    copa = {"id": "1", "origin": "x:1", "premise": "The sun was rising.", "choice1": "", "choice2": "", "label": 0}
    review = {"id": "2", "origin": "x:2", "document": "가을이 왔다.", "label": 1}
    story = {"id": "3", "ctx_a": "Two came.", "ctx_b": "Then three came in.", "endings": ["a b"], "label": 0}
    folders = [
        write_set(tmp_path / "1" / "set", "copa_2011_test", {**copa, "question": "cause"}),
        write_set(tmp_path / "2" / "set", "nsmc_generate", review),
        write_set(tmp_path / "3" / "set", "hellaswag", {**story, "activity_label": "", "origin": "x:3"}),
    ]
    evaluation = EvaluationTexts.read(folders, ngram=13)
    assert reasons(texts, kind, evaluation) == (["evaluation overlap: set"] if overlaps else [])


def write_set(folder: Path, task: str, item: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "items.jsonl").write_text(json.dumps(item), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps({"task": task, "fingerprint": "x"}), encoding="utf-8")
    return folder


def test_labels_ids_and_half_contexts_are_no_evaluation_texts(tmp_path: Path) -> None:
    item = {"id": "cause", "origin": "o", "ctx_a": "A.", "ctx_b": "he", "activity_label": "Surfing", "endings": ["b"]}
    found = EvaluationTexts.read([write_set(tmp_path / "set", "hellaswag", {**item, "label": 0})], ngram=None)
    for text, is_one in (("A.", True), ("b", True), ("A. he", True), ("he", False), ("Surfing", False), ("o", False)):
        assert bool(found.find([{"text": text}])[0]) == is_one


def test_a_translations_texts_are_those_of_both_languages(tmp_path: Path) -> None:
    item = {"id": "1", "origin": "o", "en": "The sun was rising.", "ko": "해가 뜨고 있었다."}
    found = EvaluationTexts.read([write_set(tmp_path / "set", "ntrex", item)], ngram=None)
    assert all(found.find([{"text": item["en"]}, {"text": item["ko"]}])) and not found.find([{"text": "1"}])[0]


@pytest.mark.parametrize(
    ("texts", "matches"),
    [
        (
            {"instruction": "Say", "input": "", "output": f"So: {' '.join(WORDS[1:14])}, etc."},
            True,
        ),
        ({"instruction": "Say", "input": "", "output": " ".join(WORDS[1:13])}, False),
        ({"en": f"ONE, {' - '.join(WORDS[1:14])}!", "ko": "하나 둘"}, True),
        ({"en": "Count to ten.", "ko": " ".join(f"하나{number}" for number in range(13))}, True),
        ({"text": f"{' '.join(WORDS[:7])} and {' '.join(WORDS[7:])}"}, False),
        ({"text": "私は毎日学校へ行きます。それから図書館で本を読みます"}, True),
        ({"text": "私は毎日学校へ行きます"}, False),
    ],
)
def test_a_long_stretch_of_an_evaluation_text_is_found_on_any_side(texts: dict[str, str], matches: bool) -> None:
    known = {" ".join(WORDS): "hellaswag", " ".join(f"하나{number}" for number in range(14)): "nsmc"}
    known["彼は言う。私は毎日学校へ行きます。それから本を読む"] = "ntrex"
    [match] = EvaluationTexts(known, ngram=13).find([texts])
    assert bool(match) == matches
    if match:
        assert match.is_stretch and match.evaluation_set == known[match.text]
    assert EvaluationTexts(known, ngram=None).find([texts]) == [None]


def test_a_dropped_stretch_says_what_it_matches() -> None:
    drops, evaluation = Drops(), EvaluationTexts({" ".join(WORDS): "hellaswag"}, ngram=13)
    checks = filters.Checks("text", "en", Quality(), evaluation)
    assert not list(filters.keep_usable([Row("f:7", {"text": " ".join(["So", *WORDS[:-1]])})], checks, "s", drops))
    assert drops.records == [
        {
            "reason": "evaluation overlap, 13-gram: hellaswag",
            "source": "s",
            "origin": "f:7",
            "row": {"text": " ".join(["So", *WORDS[:-1]]), "matches": " ".join(WORDS)},
        }
    ]


@pytest.mark.parametrize(
    ("texts", "kind", "reason"),
    [
        ({"en": "The price is 5 \ufffd.", "ko": "값은 5이다."}, "parallel", "broken encoding"),
        ({"text": "안녕하세요 세계".encode().decode("cp1252", "replace")}, "text", "broken encoding"),
        ({"instruction": "Say", "input": "", "output": "Itâ€™s fine"}, "instructions", "broken encoding"),
        ({"text": "A café in São Paulo, naïve and für sich."}, "text", ""),
        ({"text": "The price was <s>9</s> 5 dollars."}, "text", "special token"),
        ({"instruction": "Say hello", "input": "", "output": "Hello<|im_end|>"}, "instructions", "special token"),
        ({"en": "Write <unk> there.", "ko": "거기에 <unk>를 쓰세요."}, "parallel", "special token"),
        ({"text": "if a <s and b> c: print('<span>', a |b| c)"}, "text", ""),
        ({"text": "<br/> &nbsp; <a href='x'></a> https://example.com/a"}, "text", "only mark-up"),
        ({"en": "<b>", "ko": "안녕"}, "parallel", "only mark-up"),
        ({"instruction": "Write a line break", "input": "", "output": "<br/>"}, "instructions", ""),
        ({"text": "<p>Hello</p>"}, "text", ""),
        ({"en": "Press the API key", "ko": "Press the API key now"}, "parallel", "other language"),
        ({"en": "키를 누르세요", "ko": "키를 누른다"}, "parallel", "other language"),
        ({"en": "Press the API key", "ko": "API 키를 누르세요"}, "parallel", ""),
        ({"en": "42", "ko": "42!"}, "parallel", ""),
        ({"instruction": "Translate: 안녕", "input": "", "output": "Hello"}, "instructions", ""),
        ({"en": "No.", "ko": "아니요. " * 10}, "parallel", "lengths too different"),
        ({"en": "No, thank you.", "ko": "아니요."}, "parallel", ""),
    ],
)
def test_text_that_teaches_nothing_is_dropped(texts: dict[str, str], kind: Kind, reason: str) -> None:
    assert reasons(texts, kind) == ([reason] if reason else [])


def test_every_check_can_be_switched_off() -> None:
    off = dict.fromkeys(("drop_broken_encoding", "drop_special_tokens", "drop_markup_only"), False)
    off |= {"min_script_share": 0.0, "max_length_ratio": None}
    assert reasons({"en": "<s>\ufffd", "ko": "hello hello hello hello"}, "parallel", **off) == []


@given(st.text(alphabet="aZ0_ \n.-'가힣ㄱ漢あไ"))
def test_a_text_is_cut_into_the_same_words_in_every_way(text: str) -> None:
    assert comparison.units(text) == comparison.UNIT.findall(comparison.folded(text))
