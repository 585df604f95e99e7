"""Tokenizers in GGUF files: pieces keep their numbers, text is cut as the model learnt it, the template comes along."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from crosstune.errors import BadInputError
from crosstune.models.gguf.tokenizer import content_of
from crosstune.models.load import load_tokenizer
from tests.models.gguf.files import PIECES, TEMPLATE, llama_config, write_gguf


def write(folder: Path, **tokenizer: Any) -> str:
    size = len(tokenizer.get("pieces", PIECES))
    return str(write_gguf(folder / "tiny.gguf", LlamaForCausalLM(llama_config(vocab_size=size)), tokenizer=tokenizer))


def test_pieces_roles_and_template_are_the_files(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write(tmp_path))
    assert tokenizer.convert_ids_to_tokens(range(len(PIECES))) == PIECES
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
    )
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.tokenize("the the<|im_end|>") == ["the", "Ġthe", "<|im_end|>"]
    assert tokenizer.decode(tokenizer.encode("the  한국 12")) == "the  한국 12"


def test_digits_stand_apart_where_the_model_saw_them_apart(tmp_path: Path) -> None:
    assert load_tokenizer(write(tmp_path)).tokenize("a  1") == ["a", "ĠĠ", "1"]
    (tmp_path / "tiny.gguf").unlink()
    assert load_tokenizer(write(tmp_path, pre="gpt-2")).tokenize("a  1") == ["a", "Ġ", "Ġ", "1"]


def test_bos_begins_a_text_where_the_file_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, add_bos=True)
    content, _ = content_of(path)
    for ids in (load_tokenizer(path)("the").input_ids, Tokenizer.from_str(json.dumps(content)).encode("the").ids):
        assert ids == [1, PIECES.index("the")]


@pytest.mark.parametrize(("pre", "begins"), [("llama-bpe", True), ("smollm", False)])
def test_where_the_file_does_not_say_it_bos_begins_a_text_as_llama_cpp_has_it(
    tmp_path: Path, pre: str, begins: bool
) -> None:
    path = write(tmp_path, pre=pre, add_bos=None)
    content, _ = content_of(path)
    for ids in (load_tokenizer(path)("the").input_ids, Tokenizer.from_str(json.dumps(content)).encode("the").ids):
        assert ids == [*([1] if begins else []), PIECES.index("the")]


def test_a_word_that_is_a_piece_is_whole_where_the_model_saw_it_whole(tmp_path: Path) -> None:
    pieces = [*PIECES, "Ġten"]  # no merge makes it
    assert load_tokenizer(write(tmp_path, pieces=pieces, pre="llama-bpe")).tokenize("a ten") == ["a", "Ġten"]
    (tmp_path / "tiny.gguf").unlink()
    assert load_tokenizer(write(tmp_path, pieces=pieces)).tokenize("a ten") == ["a", "Ġ", "t", "e", "n"]


def test_characters_are_composed_where_the_model_saw_them_composed(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write(tmp_path, pre="qwen2"))
    assert tokenizer.encode(unicodedata.normalize("NFD", "한 é")) == tokenizer.encode("한 é")


def test_the_tokenizer_folder_of_a_file_is_the_tokenizer_that_the_model_loads(tmp_path: Path) -> None:
    path = write(tmp_path)
    content, configuration = content_of(path)
    assert content["model"]["vocab"]["Ġthe"] == PIECES.index("Ġthe")
    assert configuration["eos_token"] == "<|im_end|>" and configuration["chat_template"] == TEMPLATE


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"pre": "gpt-9"}, r"text is cut as 'gpt-9' \(tokenizer.ggml.pre\), which is not known"),
        ({"pre": None}, r"text is cut as None \(tokenizer.ggml.pre\)"),
        ({"model": "bert"}, r"of kind 'bert' \(tokenizer.ggml.model\); read from GGUF is 'gpt2'"),
        ({"eos": None}, "has no EOS token"),
        ({"pieces": [f"piece{number}" for number in range(len(PIECES))]}, r"cannot be used: .*out of vocabulary"),
        ({"pieces": [*PIECES, "th"]}, r"lists 264 pieces, and 1 of them would get another number"),
    ],
)
def test_what_would_come_out_as_another_tokenizer_is_refused_by_name(
    tmp_path: Path, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        load_tokenizer(write(tmp_path, **how))
