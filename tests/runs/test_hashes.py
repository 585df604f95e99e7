"""What files hold: hashes that are remembered only as long as they are true, and damage that is named."""

import os
from pathlib import Path

import pytest

from crosstune.runs import hashes
from crosstune.runs.hashes import damage_to, describe_files, hash_file, hash_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(hashes, "SETTLED_AFTER_NS", -(10**18))


def weights(folder: Path, byte: bytes = b"x") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.safetensors"
    path.write_bytes(byte * 1_500_000)
    return path


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = weights(tmp_path)
    first = hash_file(path)
    monkeypatch.setattr(hashes, "digest_of", lambda _: pytest.fail("read again"))
    assert hash_file(path) == first


def test_other_weights_with_the_same_size_and_time_have_another_hash(tmp_path: Path) -> None:
    path = weights(tmp_path)
    before, time = hash_model(tmp_path), path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(700_000)
        file.write(b"y")
    os.utime(path, ns=(time, time))
    assert path.stat().st_mtime_ns == time
    assert hash_model(tmp_path) != before


def test_weights_that_were_only_touched_or_copied_keep_their_hash(tmp_path: Path) -> None:
    before = hash_model(weights(tmp_path / "one").parent)
    weights(tmp_path / "two")
    os.utime(tmp_path / "one" / "model.safetensors", ns=(1, 1))
    assert hash_model(tmp_path / "one") == hash_model(tmp_path / "two") == before


def test_a_file_written_a_moment_ago_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "SETTLED_AFTER_NS", 10**12)
    path = weights(tmp_path)
    hash_file(path)
    monkeypatch.setattr(hashes, "digest_of", lambda _: "read again")
    assert hash_file(path) == "read again"


def test_without_a_place_for_the_cache_files_are_hashed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(hash_file(weights(tmp_path / "model"))) == 64


def test_the_card_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    before = hash_model(weights(tmp_path).parent)
    (tmp_path / "README.md").write_text("scores")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "download.lock").write_text("now")
    assert hash_model(tmp_path) == before


def test_damage_is_named_file_by_file(tmp_path: Path) -> None:
    for name in ("cut", "gone", "flipped", "whole"):
        (tmp_path / name).write_text("0123456789")
    wanted = describe_files(tmp_path)
    assert damage_to(tmp_path, wanted) == []
    (tmp_path / "cut").write_text("01234")
    (tmp_path / "gone").unlink()
    (tmp_path / "flipped").write_text("0123456788")
    assert damage_to(tmp_path, wanted) == [
        "cut has 5 bytes instead of 10",
        "flipped has other content than was written",
        "gone is missing",
    ]
