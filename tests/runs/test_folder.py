"""The run folder: nothing half-written is ever taken for whole."""

from pathlib import Path

import pytest

from crosstune.errors import RunFolderError
from crosstune.prompts.examples import Example, read_examples, write_examples
from crosstune.runs.files import read_json, read_jsonl, write_jsonl
from crosstune.runs.fingerprint import fingerprint, hash_model_folder
from crosstune.runs.folder import fingerprint_of, is_current, whole_folder


def test_a_folder_appears_only_when_its_making_ends_well(tmp_path: Path) -> None:
    folder = tmp_path / "mixture"
    with pytest.raises(RuntimeError), whole_folder(folder, "abc", {}) as temporary:
        (temporary / "half").write_text("x")
        raise RuntimeError
    assert not folder.exists() and not is_current(folder, "abc")


def test_a_finished_folder_is_current_for_its_fingerprint_only(tmp_path: Path) -> None:
    folder = tmp_path / "mixture"
    facts: dict[str, int] = {}
    with whole_folder(folder, "abc", facts) as temporary:
        (temporary / "rows").write_text("x")
        facts["rows"] = 1
    assert is_current(folder, "abc") and not is_current(folder, "abd")
    assert fingerprint_of(folder) == "abc"
    assert read_json(folder / "manifest.json")["rows"] == 1


def test_a_new_version_replaces_the_old_folder_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mixture"
    for made_from, name in (("one", "old"), ("two", "new")):
        with whole_folder(folder, made_from, {}) as temporary:
            (temporary / name).write_text("x")
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "new"]
    assert [path.name for path in tmp_path.iterdir()] == ["mixture"]


def test_fingerprints_tell_settings_apart() -> None:
    assert fingerprint({"a": 1}) == fingerprint({"a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint("a", "b") != fingerprint("ab")


def test_a_missing_or_broken_artifact_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="run the earlier stages first"):
        read_json(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text('{"a": ')
    with pytest.raises(RunFolderError, match="delete it and run its stage again"):
        read_json(tmp_path / "broken.json")


def test_examples_survive_their_file(tmp_path: Path) -> None:
    examples = [
        Example("질문\n", '"답"\t{x}', "ko", "koalpaca", "a.json:1"),
        Example("", "text", "en", "english", "b:2"),
    ]
    assert write_examples(tmp_path / "examples.parquet", examples) == 2
    assert read_examples(tmp_path / "examples.parquet") == examples


def test_jsonl_keeps_every_row_and_line_separators(tmp_path: Path) -> None:
    rows = [{"text": "한국어\u2028\n줄"}, {"text": ""}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


def test_hash_of_a_model_folder_changes_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = hash_model_folder(tmp_path)
    (tmp_path / "config.json").write_text("{ }")
    assert hash_model_folder(tmp_path) != before
