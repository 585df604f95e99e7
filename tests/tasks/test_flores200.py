"""FLORES-200 as its authors publish it, lines of text, and FLORES+ as the hub has it, a table for each language."""

from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from tests.tasks.read import read

ASKED = {"directions": ("en-ko",), "instruction_languages": ("en",)}


def test_lines_belong_together_by_their_numbers(tmp_path: Path) -> None:
    files = {
        "devtest/eng_Latn.devtest": "It rained.\nHe left.\n",
        "devtest/kor_Hang.devtest": "비가 왔다.\n그는 갔다.\n",
    }
    items = read(tmp_path, "flores200", dict(files), **ASKED)
    assert [(item["en"], item["ko"]) for item in items] == [("It rained.", "비가 왔다."), ("He left.", "그는 갔다.")]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_rows_belong_together_by_their_ids(tmp_path: Path, ending: str) -> None:
    english = [{"id": 1, "text": "It rained.", "iso_639_3": "eng"}, {"id": 2, "text": "He left.", "iso_639_3": "eng"}]
    korean = [{"id": 2, "text": "그는 갔다.", "iso_639_3": "kor"}, {"id": 1, "text": "비가 왔다.", "iso_639_3": "kor"}]
    files = {f"devtest/eng_Latn.{ending}": english, f"devtest/kor_Hang.{ending}": korean}
    items = read(tmp_path, "flores200", dict(files), **ASKED)
    assert items == [
        {"id": "1", "en": "It rained.", "ko": "비가 왔다."},
        {"id": "2", "en": "He left.", "ko": "그는 갔다."},
    ]
    with pytest.raises(BadInputError, match=r"the id '2' has no row in devtest/kor_Hang"):
        read(tmp_path, "flores200", {**files, f"devtest/kor_Hang.{ending}": korean[1:]}, **ASKED)
    with pytest.raises(BadInputError, match="a table for each language: give two in `paths`, the first in en"):
        read(tmp_path, "flores200", {f"devtest/eng_Latn.{ending}": english}, **ASKED)


EN = [{"id": 1, "text": "The wind came in."}, {"id": 2, "text": "He eats an apple."}]
KO = [{"id": 1, "text": "바람이 안으로 들어왔습니다."}, {"id": 2, "text": "그는 사과를 먹고 있습니다."}]


def test_tables_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"texts in en are asked for, but 2 of 2 have no letter of its script"):
        read(tmp_path, "flores200", {"ko.jsonl": KO, "en.jsonl": EN}, **ASKED)
    said = {"iso_639_3": "deu", "iso_15924": "Latn"}
    with pytest.raises(BadInputError, match=r"the row says that it is in deu_Latn, but en is asked for"):
        read(tmp_path, "flores200", {"de.jsonl": [{**row, **said} for row in EN], "ko.jsonl": KO}, **ASKED)


def test_one_file_for_both_languages_is_refused(tmp_path: Path) -> None:
    lines = "".join(row["text"] + "\n" for row in EN)
    with pytest.raises(BadInputError, match=r"texts in ko are asked for, but 2 of 2 have no letter"):
        read(tmp_path, "flores200", {"eng_Latn.devtest": lines, "copy.devtest": lines}, **ASKED)


def test_score_finds_any_pair(tmp_path: Path) -> None:
    for name in ("dev/vie_Latn.dev", "dev/swh_Latn.dev", "devtest/vie_Latn.devtest", "devtest/swh_Latn.devtest"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(BadInputError, match="needs an instruction in vi or sw, but there are some in"):
        find_tasks(Choice("multilingual", tmp_path, skip_missing=True, source="vi", target="sw"), 4)
    (tmp_path / "devtest" / "eng_Latn.devtest").touch()
    found = find_tasks(Choice("multilingual", tmp_path, skip_missing=True, source="en", target="sw"), 4)
    assert found["flores200"]["paths"] == ["devtest/eng_Latn.devtest", "devtest/swh_Latn.devtest"]
    assert found["flores200"]["directions"] == ["sw-en", "en-sw"]
