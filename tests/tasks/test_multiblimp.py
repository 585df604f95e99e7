"""MultiBLiMP as the hub has it: a table of sentence pairs, the first of which is right."""

from pathlib import Path

from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from tests.tasks.read import read

TABLE = "sen\twrong_sen\tphenomenon\nDer Hund schläft.\tDer Hund schlafen.\tSV-#\nWir sind da.\tWir ist da.\tSV-#\n"


def test_the_grammatical_sentence_is_the_answer(tmp_path: Path) -> None:
    items = read(tmp_path, "multiblimp", {"deu/data.tsv": TABLE}, language="de")
    assert [(item["sen"], item["wrong_sen"], item["label"]) for item in items] == [
        ("Der Hund schläft.", "Der Hund schlafen.", 0),
        ("Wir sind da.", "Wir ist da.", 0),
    ]


def test_score_finds_a_language_by_its_code_of_three_letters(tmp_path: Path) -> None:
    (tmp_path / "deu").mkdir()
    (tmp_path / "deu" / "data.tsv").write_text(TABLE, encoding="utf-8")
    found = find_tasks(Choice("multilingual", tmp_path, skip_missing=True, target="de"), 4)
    assert found["multiblimp_de"]["paths"] == ["deu/data.tsv"]
