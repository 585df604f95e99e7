"""A given tokenizer is the one that transformers loads from the same folder, or it is refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

from crosstune.errors import BadInputError
from crosstune.models.load import load_tokenizer
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import configuration_of, write_folder
from tests.tokenizer.conftest import byte_level

ROLES = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
CHAT = ["<|im_start|>", "<|im_end|>", "[PAD]"]


@pytest.fixture
def chat_folder(tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]) -> tuple[Path, int]:
    """The layout of most chat models of 2023: a .model file, tokens beside it, a template; and its number of pieces."""
    train_sentencepiece(tmp_path / "tokenizer.model", english)
    size = len(given.load(tmp_path / "tokenizer.model", "x")[0]["model"]["vocab"])
    write = {
        "added_tokens.json": {token: size + index for index, token in enumerate(CHAT)},
        "config.json": {"model_type": "llama"},
        "tokenizer_config.json": {
            "tokenizer_class": "LlamaTokenizer",
            **ROLES,
            "eos_token": "<|im_end|>",
            "pad_token": "[PAD]",
            "chat_template": "{{ messages }}",
        },
    }
    for name, content in write.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path, size


def test_tokens_beside_a_model_file_keep_their_ids_and_roles(chat_folder: tuple[Path, int], tmp_path: Path) -> None:
    folder, size = chat_folder
    content, configuration = given.load(folder, "x")
    assert {token["content"]: token["id"] for token in content["added_tokens"] if token["content"] in CHAT} == {
        token: size + index for index, token in enumerate(CHAT)
    }
    assert configuration["eos_token"] == "<|im_end|>" and configuration["pad_token"] == "[PAD]"
    assert configuration["chat_template"] == "{{ messages }}"
    write_folder(tmp_path / "out", content, configuration)
    ours, theirs = AutoTokenizer.from_pretrained(tmp_path / "out"), AutoTokenizer.from_pretrained(folder)
    assert len(ours) == len(theirs) == size + 3 and ours.eos_token_id == theirs.eos_token_id == size + 1
    ids = ours("<|im_start|>the<|im_end|>", add_special_tokens=False).input_ids
    assert (ids[0], ids[-1]) == (size, size + 1)
    assert BpeTokenizer(content).size == size + 3


def test_tokens_beside_a_model_file_are_found_wherever_a_template_writes_them(
    chat_folder: tuple[Path, int], tmp_path: Path
) -> None:
    """Not at the start of a text only, and without a space behind each."""
    folder, size = chat_folder
    write_folder(tmp_path / "out", *given.load(folder, "x"))
    ours, theirs = AutoTokenizer.from_pretrained(tmp_path / "out"), AutoTokenizer.from_pretrained(folder)
    turns = "<|im_start|>user\nthe book<|im_end|>\n<|im_start|>assistant\n"
    for text in (turns, "the <|im_start|>the", "the<|im_end|>the<|im_end|> [PAD][PAD]", "the book the"):
        assert ours(text).input_ids == theirs(text).input_ids, text
    assert ours(turns).input_ids.count(size) == 2


def test_tokens_beside_a_model_file_leave_the_order_of_its_merges_as_it_is(
    tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    """By scores: LLaMA-2's runs of spaces have the first ids and the lowest scores, transformers goes by ids."""
    model = train_sentencepiece(tmp_path / "tokenizer.model", english)
    size = len(given.load(model, "x")[0]["model"]["vocab"])
    # A further piece: text, the highest score, of the normal kind.
    piece = b"\x0a\x02sr" + b"\x15" + struct.pack("<f", 1.0) + b"\x18\x01"
    model.write_bytes(model.read_bytes() + bytes([0x0A, len(piece)]) + piece)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|im_start|>": size + 1}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **ROLES}))
    content, _ = given.load(tmp_path, "x")
    assert content["model"]["merges"][0] == ["s", "r"]
    text = "the books read the teachers r"
    slow = SentencePieceProcessor(model_file=str(model))
    for line in (text, text.replace(" r", "r")):
        assert BpeTokenizer(content).encode_lines([line]) == [slow.encode(line)]
        assert load_tokenizer(str(tmp_path)).encode(line, add_special_tokens=False) == slow.encode(line)


def test_a_change_of_the_added_tokens_is_another_tokenizer(chat_folder: tuple[Path, int]) -> None:
    from crosstune.recipe import GivenTokenizer

    wanted = GivenTokenizer(kind="given", path=str(chat_folder[0]))
    before = given.find(wanted, Path(), "x").fingerprint
    (chat_folder[0] / "added_tokens.json").write_text("{}")
    assert given.find(wanted, Path(), "x").fingerprint != before


def test_a_folder_that_transformers_loads_otherwise_is_refused(tmp_path: Path, small_base: BpeTokenizer) -> None:
    write_folder(tmp_path, small_base.content, configuration_of(ROLES))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({**configuration_of(ROLES), "added_tokens_decoder": {"9999": {"content": "<new>", "special": True}}})
    )
    with pytest.raises(BadInputError, match=r"x: transformers loads .* another tokenizer .*<new>.*AutoTokenizer"):
        given.load(tmp_path, "x")


def test_a_configuration_that_cannot_be_read_is_told_as_that(tmp_path: Path, small_base: BpeTokenizer) -> None:
    write_folder(tmp_path, small_base.content, configuration_of(ROLES))
    (tmp_path / "config.json").write_text('{"model_type": "llama", ')
    with pytest.raises(BadInputError, match=r"x: the tokenizer of .* config\.json is not JSON .*Copy it"):
        given.load(tmp_path, "x")


@pytest.mark.parametrize("kind", ["LlamaTokenizer", "GemmaTokenizer", "Qwen2Tokenizer"])
def test_a_folder_is_cut_as_its_tokenizer_json_says_whatever_its_class_makes_of_it(
    kind: str, tmp_path: Path, any_base: BpeTokenizer
) -> None:
    """transformers 5 takes pieces and merges from the file; a run took all of it, and `crosstune score` did not."""
    roles = ROLES if any_base.style == "sentencepiece" else {"bos_token": "<|begin|>", "eos_token": "<|end|>"}
    write_folder(tmp_path, any_base.content, configuration_of(roles))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**roles, "tokenizer_class": kind}))
    loaded = load_tokenizer(str(tmp_path))
    for line in ("the book", " the", "  the book", "the     book  12345\n\n  the", "don't 책", "the<s>the"):
        found = loaded.encode(line, add_special_tokens=False)
        assert [found] == any_base.encode_lines([line])
        assert [loaded.decode(found)] == any_base.decode_lines([found])


def test_transformers_loads_the_tokenizer_of_a_folder_once(
    chat_folder: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 262,144 pieces that takes seconds, and the doctor asks for it twice."""
    write_folder(tmp_path / "out", *given.load(chat_folder[0], "x"))
    loaded: list[object] = []
    before = AutoTokenizer.from_pretrained
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *a, **k: loaded.append(a) or before(*a, **k))
    given.load(tmp_path / "out", "x")
    assert load_tokenizer(str(tmp_path / "out")).eos_token == "<|im_end|>"
    assert len(loaded) == 1


def test_roles_that_no_file_says_are_those_that_transformers_takes(tmp_path: Path, english: list[str]) -> None:
    """Of a model there may be no more at hand than config.json and tokenizer.json."""
    text = json.dumps(byte_level(english, 400, ignore_merges=False).content).replace("<|end|>", "<|endoftext|>")
    (tmp_path / "tokenizer.json").write_text(text)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    configuration = given.load(tmp_path, "x")[1]
    assert configuration["eos_token"] == "<|endoftext|>"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|begin|>"}))
    with pytest.raises(BadInputError, match=r"eos_token '<\|endoftext\|>' instead of None"):
        given.load(tmp_path, "x")
