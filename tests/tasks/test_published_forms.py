"""The paper's and KoBEST's benchmarks in each form in which they are published, on the hub as well."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.tasks.registry import all_tasks
from tests.tasks.read import read

HELLASWAG = {
    "ind": 24,
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is sitting on a roof.",
    "ctx_b": "he",
    "ctx": "A man is sitting on a roof. he",
    "endings": ["a", "b", "c", "d"],
    "source_id": "activitynet~v_-JhWjGDPHMY",
    "split": "val",
    "split_type": "indomain",
    "label": "3",
}
COPA = {"premise": "It fell.", "choice1": "a", "choice2": "b", "question": "effect", "idx": 0, "label": 1}
# task -> the same item in several published forms: a file's text, or rows of JSON lines and Parquet.
FORMS: dict[str, list[str | dict[str, Any]]] = {
    "hellaswag": [HELLASWAG, {**HELLASWAG, "label": 3}, {**HELLASWAG, "label": 3.0}, {**HELLASWAG, "label": "3.0"}],
    "copa_superglue_val": [
        COPA,
        '<copa-corpus><item id="1" asks-for="effect" most-plausible-alternative="2">'
        "<p>It fell.</p><a1>a</a1><a2>b</a2></item></copa-corpus>",
    ],
    "nsmc_generate": [
        "id\tdocument\tlabel\n9976970\t아 더빙..\t0\n",
        "id\tdocument\tlabel\r\n9976970\t아 더빙..\t0\r\n",
        {"id": "9976970", "document": "아 더빙..", "label": 0},
    ],
    "kobest_boolq": [
        "ID\tText\tQuestion\tAnswer\n1\t글\t물음\tTrue\n",
        "ID\tText\tQuestion\tAnswer\r\n1\t글\t물음\tTRUE\r\n",
        {"paragraph": "글", "question": "물음", "label": 1},
    ],
    "kobest_copa": [
        "ID\tsentence\tquestion\t1\t2\tAnswer\r\n1\t비가 왔다.\t결과\t늘었다.\t줄었다.\t2\r\n",
        "ID\tsentence\tquestion\t1\t2\tAnswer\r\n1\t비가 왔다.\t결과 \t늘었다.\t줄었다.\t2\r\n",
        {
            "premise": "비가 왔다.",
            "question": "결과",
            "alternative_1": "늘었다.",
            "alternative_2": "줄었다.",
            "label": 1,
        },
    ],
    "kobest_hellaswag": [
        "context\tchoice1\tchoice2\tchoice3\tchoice4\tlabel\n글\t가\t나\t다\t라\t3\n",
        {"context": "글", "ending_1": "가", "ending_2": "나", "ending_3": "다", "ending_4": "라", "label": 3},
    ],
    "kobest_sentineg": [
        "ID\tText\tLabel\r\n1\t안 좋다\t0\r\n",
        "ID\tLabel\tText\r\n1\t0\t안 좋다\r\n",
        {"sentence": "안 좋다", "label": 0},
    ],
    "kobest_wic": [
        "ID\tTarget\tSENTENCE1\tDictionary 1\tLink 1\tSENTENCE2\tDictionary 2\tLink2\tANSWER\n"
        "1\t배\t[배]를 먹다.\t1\thttps://a.kr\t[배]가 고프다.\t2\thttps://b.kr\tFalse\n",
        {"word": "배", "context_1": "[배]를 먹다.", "context_2": "[배]가 고프다.", "label": 0},
    ],
}


@pytest.mark.parametrize("task", FORMS)
def test_every_published_form_gives_the_same_item(tmp_path: Path, task: str) -> None:
    found = []
    for number, form in enumerate(FORMS[task]):
        names = ["a"] if isinstance(form, str) else ["a.jsonl", "a.parquet"]
        for name in names:
            content = form if isinstance(form, str) else [form]
            [item] = read(tmp_path, task, {f"{number}/{name}": content})
            found.append({key: value for key, value in item.items() if key != "id"})
    assert all(item == found[0] for item in found) and "label" in found[0]


def test_files_that_the_hub_itself_converted_are_found(tmp_path: Path) -> None:
    for name in ("boolq/test", "boolq/validation", "nsmc/default/test"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0000.parquet").write_bytes(b"PAR1")
    found = find_tasks(Choice("all", tmp_path, skip_missing=True), 4)
    assert found["kobest_boolq"]["paths"] == ["boolq/test/0000.parquet"]
    assert found["nsmc"]["paths"] == ["nsmc/default/test/0000.parquet"]
    found = find_tasks(Choice("korean", tmp_path, split="dev", skip_missing=True), 4)
    assert found["kobest_boolq"]["paths"] == ["boolq/validation/0000.parquet"]


def test_quotes_around_a_cell_are_kobests_files_and_nsmcs_texts(tmp_path: Path) -> None:
    header, cell = "context\tchoice1\tchoice2\tchoice3\tchoice4\tlabel\n", '"끝을 ""v"" 모양으로 자른다."'
    files = {"a": f'{header}"글 ""하나"" 둘"\t{cell}\t"가" 나 "다"\t말 "함"\t라\t0\n'}
    [item] = read(tmp_path, "kobest_hellaswag", files)
    texts = [item[name] for name in ("context", "ending_1", "ending_2", "ending_3")]
    assert texts == ['글 "하나" 둘', '끝을 "v" 모양으로 자른다.', '"가" 나 "다"', '말 "함"']
    assert read(tmp_path, "nsmc_generate", {"b": f"id\tdocument\tlabel\n1\t{cell}\t0\n"})[0]["document"] == cell


def test_a_quoted_cell_of_kobests_files_may_hold_line_ends(tmp_path: Path) -> None:
    rows = '1\t0\t"안\r\n좋다 ""정말"""\n2\t1\t"열린 따옴표\n3\t1\t좋다"\n'
    items = read(tmp_path, "kobest_sentineg", {"a": f"ID\tLabel\tText\n{rows}"})
    assert [item["sentence"] for item in items] == ['안\n좋다 "정말"', '"열린 따옴표', '좋다"']
    text = 'ID\tText\tQuestion\tAnswer\n1\t"글\n둘"\t물음\tTrue\n2\t"셋\n3\t넷\t물음\tTrue\n'
    with pytest.raises(BadInputError, match=r"b:4 .*2 columns; needed: 4"):
        read(tmp_path, "kobest_boolq", {"b": text})


def test_a_page_of_the_hubs_viewer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    page = json.dumps({"features": [], "rows": [{"row_idx": 0, "row": HELLASWAG, "truncated_cells": []}]}, indent=1)
    with pytest.raises(BadInputError, match=r"holds 100 rows at most and may cut their texts\. Download"):
        read(tmp_path, "hellaswag", {"rows.json": page})
    with pytest.raises(BadInputError, match="a row stands on one line, unless all are an array"):
        read(tmp_path, "hellaswag", {"data.json": json.dumps({"data": [HELLASWAG]}, indent=1)})


def test_a_review_that_the_hub_calls_null_is_dropped_as_an_empty_one(tmp_path: Path) -> None:
    rows = [{"id": "1", "document": None, "label": 0}, {"id": "2", "document": "좋다", "label": 1}]
    assert [item["id"] for item in read(tmp_path, "nsmc_generate", {"nsmc/test.parquet": rows})] == ["2"]


@pytest.mark.parametrize("label", ["", -1, None])
def test_a_split_that_hides_its_answers_is_refused_in_words(tmp_path: Path, label: Any) -> None:
    with pytest.raises(BadInputError, match="is not one of 0, 1, 2, 3; where a split hides its answers, take one"):
        read(tmp_path, "hellaswag", {"hellaswag_test.jsonl": [{**HELLASWAG, "label": label}]})


def test_a_question_that_is_no_text_is_a_bad_row(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'question' is not text but 1"):
        read(tmp_path, "copa_superglue_val", {"val.jsonl": [{**COPA, "question": 1}]})


def test_every_benchmark_says_what_it_is() -> None:
    for name, task in all_tasks().items():
        assert task.title or task.judge == "harness", name
        assert (task.chance is not None) == (task.judge in ("choice", "keywords")), name
        own = {field.name for field in task.fields}
        assert all({field for field, _ in layout.texts} == own for layout in task.layouts if own), name
        assert all((layout.label == "") == (layout.right is not None) for layout in task.layouts if task.num_labels), (
            name
        )
        assert len(task.keywords) in (0, task.num_labels) and bool(task.keywords) == bool(task.instruction), name
