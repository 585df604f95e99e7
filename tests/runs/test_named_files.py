"""Files by name, however Unicode writes it, and many patterns in one look at the disk."""

import os
import unicodedata
from pathlib import Path

import pytest

from crosstune.runs.named_files import Tree, matching


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", "utf-8")


def found(root: Path, pattern: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in matching(root, pattern)]


def test_a_name_is_found_in_either_form_of_unicode_and_at_any_depth(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "한영.json")
    fill(tmp_path, f"a/b/{decomposed}", "a/c.json", "[라벨]한영/d.json", "l/d.json")
    assert found(tmp_path, "**/한영.json") == [f"a/b/{decomposed}"]
    assert found(tmp_path, "**/*.json") == sorted([f"a/b/{decomposed}", "a/c.json", "[라벨]한영/d.json", "l/d.json"])
    # A part that is a name is that name, whatever a glob would make of its signs.
    assert found(tmp_path, "[라벨]한영/d.json") == ["[라벨]한영/d.json"]
    assert found(tmp_path, "[라벨]*/d.json") == ["[라벨]한영/d.json"]
    assert found(tmp_path, "**/a/*.json") == ["a/c.json"]
    assert found(tmp_path, "a/c.json/nothing*") == []


def test_what_was_walked_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *(f"{folder}/{name}.tsv" for folder in "abc" for name in ("dev", "test")))
    looked_at: list[str] = []
    scandir, listdir, lexists = os.scandir, os.listdir, os.path.lexists
    monkeypatch.setattr(os, "scandir", lambda path: (looked_at.append(str(path)), scandir(path))[1])
    monkeypatch.setattr(os, "listdir", lambda path: (looked_at.append(str(path)), listdir(path))[1])
    monkeypatch.setattr(os.path, "lexists", lambda path: (looked_at.append(str(path)), lexists(path))[1])
    tree = Tree(tmp_path)
    patterns = ("**/dev.tsv", "**/*.tsv", "**/b/test.tsv", "**/missing.tsv", "**/a/t*.tsv")
    matched = {pattern: tree.matching(pattern) for pattern in patterns}
    assert sorted(looked_at) == sorted(map(str, (tmp_path, *(tmp_path / folder for folder in "abc"))))
    assert matched == {pattern: sorted(tmp_path.glob(pattern)) for pattern in patterns}
