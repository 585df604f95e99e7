import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from crosstune.errors import BadInputError
from crosstune.recipe import GivenTokenizer
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import configuration_of, write_folder

ROLES = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def wanted(path: str, revision: str | None = None) -> GivenTokenizer:
    return GivenTokenizer(kind="given", path=path, revision=revision)


def write(folder: Path, base: BpeTokenizer) -> None:
    write_folder(folder, base.content, configuration_of(ROLES))


def test_a_folder_under_the_data_root_is_taken_as_it_is(tmp_path: Path, small_base: BpeTokenizer) -> None:
    write(tmp_path / "data" / "tok", small_base)
    found = given.find(wanted("tok"), tmp_path / "data", "tokenizer.base.path")
    content, configuration = given.load(found.fetch(), "tokenizer.base.path")
    assert BpeTokenizer(content).merges == small_base.merges
    content["model"]["merges"] = small_base.content["model"]["merges"]
    assert content == small_base.content
    assert configuration == configuration_of(ROLES)


def test_another_content_gives_another_fingerprint(tmp_path: Path, small_base: BpeTokenizer) -> None:
    write(tmp_path / "tok", small_base)
    first = given.find(wanted("tok"), tmp_path, "x").fingerprint
    assert given.find(wanted(str(tmp_path / "tok")), Path("elsewhere"), "x").fingerprint == first
    (tmp_path / "tok" / "unrelated.txt").write_text("x")
    assert given.find(wanted("tok"), tmp_path, "x").fingerprint == first
    (tmp_path / "tok" / "special_tokens_map.json").write_text("{}")
    assert given.find(wanted("tok"), tmp_path, "x").fingerprint != first


def test_a_sentencepiece_file_and_a_folder_with_one_are_converted(
    tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    path = train_sentencepiece(tmp_path / "tokenizer.model", english)
    for place in (path, tmp_path):
        content, configuration = given.load(place, "x")
        assert content["model"]["byte_fallback"]
        assert configuration == configuration_of(ROLES)
        write_folder(tmp_path / "out", content, configuration)
        loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
        assert loaded("the", add_special_tokens=False).input_ids == loaded("the").input_ids[1:]


def test_nothing_there_and_no_revision_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"'meta/none' was not found: nothing is at .* or meta/none\. .*`revision`"):
        given.find(wanted("meta/none"), tmp_path, "tokenizer.base.path")


def test_the_hub_offline_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = given.find(wanted("meta/none", "abc1234"), tmp_path, "tokenizer.base.path")
    with pytest.raises(
        BadInputError, match=r"'meta/none' is not a path here.* at revision 'abc1234': .*give the folder"
    ):
        found.fetch()


def test_a_folder_without_a_tokenizer_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"it has nothing\. It needs tokenizer.json"):
        given.load(tmp_path, "tokenizer.base.path")
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"it has vocab.json.*save_pretrained"):
        given.load(tmp_path, "tokenizer.base.path")


def test_a_broken_tokenizer_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    with pytest.raises(BadInputError, match=r"tokenizer.json cannot be read as a tokenizer"):
        given.load(tmp_path, "tokenizer.base.path")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("x")
    with pytest.raises(BadInputError, match=r"neither a folder nor a SentencePiece .model file"):
        given.load(tmp_path / "vocab.txt", "tokenizer.base.path")
