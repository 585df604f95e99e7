"""The run folder: nothing half-written is ever taken for whole."""

from pathlib import Path

import pytest

from crosstune.errors import RunFolderError
from crosstune.prompts.examples import Example, read_examples, write_examples
from crosstune.runs.files import read_json, read_jsonl, write_jsonl
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


def test_a_folder_that_was_damaged_is_named_and_not_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mixture"
    with whole_folder(folder, "abc", {}) as temporary:
        (temporary / "rows").write_text("one, two, three")
    assert is_current(folder, "abc") and fingerprint_of(folder) == "abc"
    (folder / "rows").write_text("one, two, thre")
    assert not is_current(folder, "abc")
    assert "rows has 14 bytes instead of 15" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(RunFolderError, match=r"mixture is damaged: rows has 14 bytes instead of 15.*rebuilds it"):
        fingerprint_of(folder)


def test_files_added_to_a_folder_later_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "mixture"
    with whole_folder(folder, "abc", {}) as temporary:
        (temporary / "rows").write_text("x")
    (folder / "tokens").mkdir()
    (folder / "tokens" / "tokens.arrow").write_text("y")
    assert is_current(folder, "abc")


def test_what_is_replaced_goes_only_when_the_new_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mixture"
    with whole_folder(folder, "one", {}) as temporary:
        (temporary / "rows").write_text("old")
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        synced.append((name, (folder / "rows").exists() and (folder / "rows").read_text() == "old"))

    monkeypatch.setattr("os.fsync", fsync)
    with whole_folder(folder, "two", {}) as temporary:
        (temporary / "rows").write_text("new")
    for name in ("rows", "manifest.json", ".mixture.tmp"):
        assert (name, True) in synced, f"{name} was not on the disk before the old folder went"
    assert synced[-1] == (tmp_path.name, False)


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
