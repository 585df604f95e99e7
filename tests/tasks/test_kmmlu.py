"""KMMLU as the hub has it: a CSV for each subject, answers from 1 to 4."""

from pathlib import Path

from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.tasks.kmmlu import SUBJECTS
from tests.tasks.read import read

HEADER = "question,answer,A,B,C,D,Category,Human Accuracy\n"


def test_the_hubs_csv_and_parquet_give_the_same_items(tmp_path: Path) -> None:
    text = f'{HEADER}"다음 중, ""자산""은?",3,현금,매출,"건물, 토지",비용,Accounting,0.5\n'
    row = {"question": '다음 중, "자산"은?', "answer": 3, "A": "현금", "B": "매출", "C": "건물, 토지", "D": "비용"}
    [item] = read(tmp_path, "kmmlu", {"data/Accounting-test.csv": text})
    assert item == {"id": "2", **{key: row[key] for key in ("question", *"ABCD")}, "label": 2}
    [other] = read(tmp_path, "kmmlu", {"Accounting/test-00000-of-00001.parquet": [row]})
    assert {**other, "id": ""} == {**item, "id": ""}


def test_items_of_two_subjects_are_told_apart(tmp_path: Path) -> None:
    text = f"{HEADER}무엇?,1,가,나,다,라,Law,\n"
    items = read(tmp_path, "kmmlu", {"Law-test.csv": text, "Math-test.csv": text})
    assert [item["id"] for item in items] == ["Law-test.csv:2", "Math-test.csv:2"]


def test_score_wants_all_subjects_and_finds_them_in_any_folder(tmp_path: Path) -> None:
    for subject in SUBJECTS:
        (tmp_path / "anywhere").mkdir(exist_ok=True)
        (tmp_path / "anywhere" / f"{subject}-test.csv").touch()
    choice = Choice("korean", tmp_path, skip_missing=True)
    assert len(find_tasks(choice, 4)["kmmlu"]["paths"]) == len(SUBJECTS) == 45
    (tmp_path / "anywhere" / "Law-test.csv").rename(tmp_path / "anywhere" / "Laws-test.csv")
    (tmp_path / "ratings_test.txt").touch()
    assert "kmmlu" not in find_tasks(choice, 4)
