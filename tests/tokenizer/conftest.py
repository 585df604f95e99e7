import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from crosstune.prompts.examples import Example, write_examples
from crosstune.recipe import Recipe
from crosstune.recipe.yaml_file import validate
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.learn_base import learn_base

ENGLISH = (
    "The teacher gave the student a red book in the library yesterday.",
    "My grandmother reads the newspaper every morning, and then she drinks 2 cups of tea.",
    "I don't think that the children are playing in the garden; they went home at 10:30.",
    "The old doctor opened the window because the room was hot and the student was reading.",
    "### Instruction:\nTranslate the following sentences from English to Korean\nThe book is red.\n### Response:\n",
)
KOREAN = (
    "선생님은 어제 도서관에서 학생에게 빨간 책을 주었다.",
    "할머니께서는 매일 아침 신문을 읽으시고 차를 2잔 드십니다.",
    "아이들이 정원에서 놀고 있다고 생각하지 않아요; 10:30에 집으로 갔어요.",
    "학생이 책을 읽고 있었고 방이 더워서 의사 선생님은 창문을 열었다. ㅋㅋㅋ",
    "도서관에서 책을 읽는 학생은 선생님의 책을 좋아한다 ㅠㅠ",
)
LLAMA3_PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@pytest.fixture(scope="session")
def english() -> list[str]:
    return list(ENGLISH * 4)


@pytest.fixture(scope="session")
def korean() -> list[str]:
    return list(KOREAN * 4)


@pytest.fixture(scope="session")
def small_base(english: list[str]) -> BpeTokenizer:
    """A LLaMA-2-like tokenizer of 420 pieces, learnt from the English sentences."""
    return BpeTokenizer(learn_base(english, 420, "ko"))


def byte_level(texts: Iterator[str] | list[str], vocab_size: int, ignore_merges: bool) -> BpeTokenizer:
    """A byte-level BPE as of LLaMA-3: special tokens come after the BPE vocabulary."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated")
    byte_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_pieces])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    return BpeTokenizer(json.loads(tokenizer.to_str()))


@pytest.fixture(scope="session", params=["English only", "with some Korean", "ignoring merges"])
def byte_level_base(request: pytest.FixtureRequest, english: list[str], korean: list[str]) -> BpeTokenizer:
    """Byte-level bases; one that saw some Korean glues spaces and bytes of letters together."""
    texts = english + korean[:3] * 4 if request.param == "with some Korean" else english
    return byte_level(texts, 360, ignore_merges=request.param == "ignoring merges")


@pytest.fixture(scope="session", params=["SentencePiece-like", "byte-level"])
def any_base(request: pytest.FixtureRequest, small_base: BpeTokenizer, english: list[str]) -> BpeTokenizer:
    return small_base if request.param == "SentencePiece-like" else byte_level(english, 360, ignore_merges=False)


def a_recipe(root: Path, base: dict[str, Any], extension: dict[str, Any] | None, translation: bool) -> Recipe:
    news = {"task": "translation", "paths": ["x.json"], "directions": ["en-ko"], "instruction_languages": ["en"]}
    content = {
        "name": "test",
        "seed": 1,
        "runs_root": str(root / "runs"),
        "data_root": str(root / "data"),
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {"text": {"kind": "text", "paths": ["x.txt"], "language": "ko"}},
            "mixtures": {"english": [{"source": "text"}], "korean": [{"source": "text"}]},
        },
        "tokenizer": {"base": base, "extension": extension},
        "systems": {"base": {"start": "some/model", "revision": "abc1234", "tokenizer": "base"}},
        "evaluate": {"reference_system": "base", "tasks": {"news": news} if translation else {}},
    }
    return validate(content, "test recipe")


MakeRun = Callable[..., tuple[Recipe, RunFolder]]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A function that writes what the data stage would have, for a given tokenizer section."""

    def make(
        base: dict[str, Any], extension: dict[str, Any] | None = None, translation: bool = False
    ) -> tuple[Recipe, RunFolder]:
        recipe = a_recipe(tmp_path, base, extension, translation)
        run = RunFolder(tmp_path / "runs" / "test")
        for name, language, texts in (("english", "en", ENGLISH * 4), ("korean", "ko", KOREAN * 4)):
            with whole_folder(run.mixture(name), f"{name}-1", {}) as folder:
                rows = [Example("", text, language, "text", f"x.txt:{line}") for line, text in enumerate(texts)]
                write_examples(folder / "examples.parquet", rows)
        if translation:
            with whole_folder(run.evaluation_set("news"), "news-1", {}) as folder:
                items = [{"id": str(i), "origin": f"x:{i}", "en": ENGLISH[i], "ko": KOREAN[i]} for i in range(4)]
                (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        return recipe, run

    return make


@pytest.fixture(scope="session")
def train_sentencepiece() -> Callable[..., Path]:
    """A function that trains a SentencePiece model with LLaMA-2's settings, and others where given."""

    def train(path: Path, texts: list[str], **settings: Any) -> Path:
        wanted: dict[str, Any] = {
            "model_type": "bpe",
            "vocab_size": 420,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            "split_digits": True,
            "allow_whitespace_only_pieces": True,
            "minloglevel": 2,
        }
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, **(wanted | settings)
        )
        path.write_bytes(model.getvalue())
        return path

    return train
