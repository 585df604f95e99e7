"""HAE-RAE Bench as the hub has it: a table for each part, the options in the query, answers from (A) to (E)."""

from pathlib import Path

from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.tasks.haerae import PARTS
from tests.tasks.read import read

QUERY = "### 질문: 순우리말은?\n### 선택지:\n(A) 하늘\n(B) 천\n(C) 공\n(D) 상\n(E) 운\n### 정답:"


def test_parquet_and_csv_give_the_same_items(tmp_path: Path) -> None:
    row = {"query": QUERY, "options": "['하늘', '천', '공', '상', '운']", "answer": "(A)"}
    [item] = read(tmp_path, "haerae", {"rare_words/test-00000-of-00001.parquet": [row]})
    assert item == {"id": "row 1", "query": QUERY, "label": 0}
    [other] = read(tmp_path, "haerae", {"rare_words/test.csv": f'query,options,answer\n"{QUERY}","[\'하늘\']",(A)\n'})
    assert (other["query"], other["label"]) == (QUERY, 0)


def test_score_finds_its_parts(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / "bench" / part).mkdir(parents=True)
        (tmp_path / "bench" / part / "test-00000-of-00001.parquet").touch()
    assert len(find_tasks(Choice("korean", tmp_path, skip_missing=True), 4)["haerae"]["paths"]) == 5


def test_score_finds_the_files_of_the_first_edition(tmp_path: Path) -> None:
    for code in ("GK", "HI", "LW", "RW", "SN", "RC"):
        (tmp_path / f"HAERAE-Bench-v1-{code}.csv").touch()
    found = find_tasks(Choice("korean", tmp_path, skip_missing=True), 4)["haerae"]["paths"]
    assert found == [f"HAERAE-Bench-v1-{code}.csv" for code in ("GK", "HI", "LW", "RW", "SN")]
