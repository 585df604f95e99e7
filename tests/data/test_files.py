"""Files are found, or refused with what is there."""

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
    with pytest.raises(BadInputError, match=r"^s: .*(a\*\*b\.txt' is no path and no glob|no file matches)"):
        files.find(["a**b.txt"], tmp_path, "s")


def test_a_folder_and_a_missing_data_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(BadInputError, match=r"is a folder: name its files, as text/\*\.json"):
        files.find(["text/"], tmp_path, "s")
    with pytest.raises(BadInputError, match="which is not a folder: set data_root"):
        files.find(["a.txt"], tmp_path / "none", "s")
