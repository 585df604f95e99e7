"""Global-MMLU and INCLUDE as the hub has them: Parquet for each language, which other benchmarks call alike."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.evaluate.harness.task_files import HarnessTask
from crosstune.runs.files import write_jsonl
from tests.tasks.read import read

OPTIONS = {"option_a": "벼", "option_b": "밀", "option_c": "콩", "option_d": "옥수수"}
MMLU: dict[str, Any] = {
    "sample_id": "agriculture/test/0",
    "subject": "agriculture",
    "subject_category": "STEM",
    "question": " 논에서 무엇을 기르나? ",
    **OPTIONS,
    "answer": "A",
    "is_annotated": True,
}
EXAMINATION: dict[str, Any] = {
    "language": "Korean",
    "country": "South Korea",
    "domain": "Social Science",
    "subject": "Geography",
    "question": "밭에서 무엇을 기르나?",
    **OPTIONS,
    "answer": 2,
}


def test_a_letter_is_the_answer_of_global_mmlu(tmp_path: Path) -> None:
    rows = [MMLU, {**MMLU, "sample_id": "agriculture/test/1", "question": "산에서?", "answer": "D"}]
    items = read(tmp_path, "global_mmlu", {"ko/test-00000-of-00001.parquet": rows}, language="ko")
    assert [(item["id"], item["label"]) for item in items] == [("agriculture/test/0", 0), ("agriculture/test/1", 3)]
    assert items[0]["option_b"] == "밀"


def test_a_number_from_zero_is_the_answer_of_include_whose_prompt_names_the_domain(tmp_path: Path) -> None:
    [item] = read(tmp_path, "include", {"Korean/test-00000-of-00001.parquet": [EXAMINATION]}, language="ko")
    assert item["label"] == 2
    write_jsonl(tmp_path / "items.jsonl", [{**item, "id": "1"}])
    task = HarnessTask("include", tmp_path / "items.jsonl").load().tasks["include"]
    [asked] = task.test_docs()
    # The harness sets a task's description before the question without a space between them.
    assert task.doc_to_text(asked) == (
        "The following is multiple-choice question about Social Science.밭에서 무엇을 기르나?\n"
        "A. 벼\nB. 밀\nC. 콩\nD. 옥수수\nAnswer:"
    )


def test_files_of_one_name_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    paraphrases = [{"id": 1, "sentence1": "비가 왔다.", "sentence2": "비가 내렸다.", "label": 1}]
    for folder, rows in (("Global-MMLU/ko", [MMLU]), ("paws-x/ko", paraphrases), ("include/Korean", [EXAMINATION])):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / folder / "test-00000-of-00001.parquet")
    found = find_tasks(Choice("multilingual", tmp_path, skip_missing=True), 4)
    assert {label: task["paths"] for label, task in found.items()} == {
        "global_mmlu_ko": ["Global-MMLU/ko/test-00000-of-00001.parquet"],
        "include_ko": ["include/Korean/test-00000-of-00001.parquet"],
        "pawsx_ko": ["paws-x/ko/test-00000-of-00001.parquet"],
    }
