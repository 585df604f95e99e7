import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.tokenizer.sentencepiece import model as sentencepiece_model
from crosstune.tokenizer.sentencepiece.file import Piece

TrainSentencePiece = Callable[..., Path]


def test_the_fast_tokenizer_cuts_as_sentencepiece_does(
    tmp_path: Path, train_sentencepiece: TrainSentencePiece, english: list[str], korean: list[str]
) -> None:
    path = train_sentencepiece(tmp_path / "t.model", [*english, *korean[:1] * 4, "a  b   c    d" * 5])
    content, roles = sentencepiece_model.convert(path)
    fast = Tokenizer.from_str(json.dumps(content))
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    draw = random.Random(3)
    texts = [
        "",
        " ",
        "  a  b",
        *english,
        *korean,
        *("".join(draw.choices("ab the  책을\n10", k=30)) for _ in range(200)),
    ]
    for text in texts:
        assert fast.encode(text, add_special_tokens=False).ids == reference.encode(text)
        assert fast.decode(reference.encode(text)) == text
    assert fast.encode("a").ids[0] == reference.bos_id()
    assert roles == {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def test_merges_follow_scores_where_ids_do_not() -> None:
    """LLaMA-2's runs of spaces have the first ids and the lowest scores: ▁▁the is ▁ + ▁the, not ▁▁ + the."""
    texts = (("▁▁", -1e9), ("▁t", -1.0), ("▁", -2.0), ("t", -3.0))
    pieces = [Piece("<s>", 0.0, 3), *(Piece(text, score, 1) for text, score in texts)]
    assert sentencepiece_model.merges_by_score(pieces) == [("▁", "t"), ("▁", "▁")]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_type": "unigram", "vocab_size": 360}, "it is not BPE"),
        ({"byte_fallback": False, "vocab_size": 200}, "it has no byte fallback"),
        ({"normalization_rule_name": "nmt_nfkc"}, r"it rewrites text \(nmt_nfkc\)"),
        ({"remove_extra_whitespaces": True}, "it removes spaces"),
        ({"treat_whitespace_as_suffix": True}, "it puts ▁ at the end"),
        ({"user_defined_symbols": "<x>"}, "it has user-defined pieces"),
    ],
)
def test_models_that_cannot_be_repeated_exactly_are_refused(
    tmp_path: Path, train_sentencepiece: TrainSentencePiece, english: list[str], settings: dict[str, Any], reason: str
) -> None:
    path = train_sentencepiece(tmp_path / "t.model", english, **settings)
    with pytest.raises(BadInputError, match=f"cannot be converted: .*{reason}.*give a folder"):
        sentencepiece_model.convert(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.model"
    path.write_text("not a model")
    with pytest.raises(BadInputError, match=r"cannot be read as a SentencePiece model"):
        sentencepiece_model.convert(path)


def test_a_conversion_that_cuts_differently_is_refused(
    tmp_path: Path, train_sentencepiece: TrainSentencePiece, english: list[str]
) -> None:
    path = train_sentencepiece(tmp_path / "t.model", english)
    content, _ = sentencepiece_model.convert(path)
    content["model"]["merges"] = content["model"]["merges"][::-1]
    with pytest.raises(BadInputError, match=r"the conversion cuts '.*' into .* and SentencePiece into .*Give a folder"):
        sentencepiece_model.refuse_unequal(path, Tokenizer.from_str(json.dumps(content)))


def test_pieces_that_were_appended_with_one_score_are_the_reason_why_a_conversion_is_refused(
    tmp_path: Path, train_sentencepiece: TrainSentencePiece, english: list[str]
) -> None:
    path = train_sentencepiece(tmp_path / "t.model", english)
    # With the base's first merge, ten. The leftmost pair of 안녕하세요 is 안 + 녕, the first of the list 세 + 요.
    pieces = (*"안녕하세요", "세요", "녕하", "하세", "안녕")
    path.write_bytes(path.read_bytes() + b"".join(map(piece_of_score_0, pieces)))
    content, _ = sentencepiece_model.convert(path)
    with pytest.raises(
        BadInputError,
        match=r"into \.\.\. \['안', '녕하', '세요', ','\] .* 10 of its pieces have the same score, 0: Sent",
    ):
        sentencepiece_model.refuse_unequal(path, Tokenizer.from_str(json.dumps(content)))


def piece_of_score_0(text: str) -> bytes:
    """Return a piece as a .model file spells it, field 1 of the file: in it field 1, the text, and 2, the score."""
    spelt = text.encode()
    piece = bytes([1 << 3 | 2, len(spelt)]) + spelt + bytes([2 << 3 | 5]) + struct.pack("<f", 0.0)
    return bytes([1 << 3 | 2, len(piece)]) + piece
