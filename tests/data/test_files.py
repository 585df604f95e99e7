"""Files are found, or refused with what is there."""

import unicodedata
from pathlib import Path

import pytest

from crosstune.data import files
from crosstune.errors import BadInputError


def test_a_glob_names_its_files_in_order_and_none_twice(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("x")
    assert files.find(["*.txt", "a.txt"], tmp_path, "s") == [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert files.find([f"{tmp_path}/*.txt"], Path("/elsewhere"), "s")[0] == tmp_path / "a.txt"


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "1_구어체[1].txt").write_text("x")
    assert files.find(["1_구어체[1].txt"], tmp_path, "s") == [tmp_path / "1_구어체[1].txt"]


def test_a_missing_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data.json").write_text("[]")
    with pytest.raises(BadInputError, match=r"data.sources.x.paths: there is no file .*gone.json.*alpaca_data.json"):
        files.find(["deep/gone.json"], tmp_path, "data.sources.x.paths")


def test_a_glob_without_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no file matches .*\*\.tsv.*there is: nothing"):
        files.find(["*.tsv"], tmp_path, "s")


def test_a_malformed_glob_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"^s: .*(a\*\*b\.txt' is neither a path nor a glob|no file matches)"):
        files.find(["a**b.txt"], tmp_path, "s")


def test_a_folder_and_a_missing_data_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(BadInputError, match=r"is a folder: name its files, as text/\*\.json"):
        files.find(["text/"], tmp_path, "s")
    with pytest.raises(BadInputError, match="which is not a folder: set data_root"):
        files.find(["a.txt"], tmp_path / "none", "s")


NAME = "일상생활_한영.json"


@pytest.mark.parametrize("there", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("pattern", [f"병렬/{NAME}", "병렬/일상*.json", "**/*_한영.json", "병?*/일상생활_한영.json"])
def test_a_name_is_found_in_whatever_form_it_is_written(tmp_path: Path, there: str, asked: str, pattern: str) -> None:
    def form(kind: str, text: str) -> str:
        return unicodedata.normalize("NFD" if kind == "NFD" else "NFC", text)

    folder = tmp_path / form(there, "병렬")
    folder.mkdir()
    (folder / form(there, NAME)).write_text("[]")
    [found] = files.find([form(asked, pattern)], tmp_path, "s")
    assert found.read_text() == "[]" and files.place(found, tmp_path) == f"병렬/{NAME}"


@pytest.mark.parametrize("pattern", ["[라벨]한영/*.json", "[라벨]*/a.json", "**/[라벨]한영/a.json"])
def test_brackets_in_a_folder_s_name_are_part_of_it(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "[라벨]한영").mkdir()
    (tmp_path / "[라벨]한영" / "a.json").write_text("[]")
    assert files.find([pattern], tmp_path, "s") == [tmp_path / "[라벨]한영" / "a.json"]


def test_brackets_are_a_class_where_no_name_has_them(tmp_path: Path) -> None:
    for name in ("a1.json", "a2.json", "b1.json"):
        (tmp_path / name).write_text("[]")
    assert [path.name for path in files.find(["[ab]1.json"], tmp_path, "s")] == ["a1.json", "b1.json"]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = files.hashes([tmp_path / "a.txt"], tmp_path)
    files.refuse_changed([tmp_path / "a.txt"], tmp_path, before)
    (tmp_path / "a.txt").write_text("two")
    with pytest.raises(BadInputError, match=r"a.txt was changed while it was read.*run the command again"):
        files.refuse_changed([tmp_path / "a.txt"], tmp_path, before)
