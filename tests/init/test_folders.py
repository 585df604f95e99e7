"""Which files of a folder are looked into: all that can be read, and the others are told with the reason."""

import os
from pathlib import Path
from typing import Any

import pytest

from crosstune.init.folders import walk


def put(path: Path, text: str = "한국어 글") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_files_are_found_in_folders_of_any_depth_and_with_any_name(tmp_path: Path) -> None:
    names = ["[라벨]한영/글 (1).txt", "a/b/c/d/e.txt", "x'y\"z/q: w.txt", "train[1].txt"]
    for name in [*names, ".hidden/a.txt", ".DS_Store"]:
        put(tmp_path / name)
    found = walk(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in found.files} == {*names}
    assert not found.left_out


def test_what_is_no_file_of_the_users_or_cannot_be_read_is_named_and_not_opened(tmp_path: Path) -> None:
    put(tmp_path / "pairs.tsv")
    put(tmp_path / "venv/pyvenv.cfg")
    put(tmp_path / "venv/lib/words.txt")
    put(tmp_path / "runs/mine/run.json")
    put(tmp_path / "empty.txt", "")
    put(tmp_path / "two\nlines.txt")
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("x")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    found = walk(tmp_path)
    assert [path.name for path in found.files] == ["pairs.tsv"]
    assert {file.name: file.reason for file in found.left_out} == {
        "again": "a link to a folder: give that folder as DIR, or copy it",
        "venv": "a Python environment",
        "runs/mine": "a run of crosstune",
        "empty.txt": "empty",
        "gone.txt": "a link to a file that is not there",
        "pipe.txt": "a pipe, a socket or a device",
        "'two\\nlines.txt'": "its name is not UTF-8, or holds a control character: rename it",
        "'\\udcff.txt'": "its name is not UTF-8, or holds a control character: rename it",
    }


def test_a_folder_and_a_file_that_may_not_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "closed/a.txt")
    put(tmp_path / "secret.txt")
    scan, opened = os.scandir, Path.open

    def scandir(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    def open_(path: Path, *asked: Any, **how: Any) -> Any:
        if path.name == "secret.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *asked, **how)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", open_)
    found = walk(tmp_path)
    assert not found.files
    assert {file.name: file.reason for file in found.left_out} == {
        "closed": "a folder that cannot be read (Permission denied)",
        "secret.txt": "cannot be read (Permission denied)",
    }
