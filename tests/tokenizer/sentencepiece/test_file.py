from collections.abc import Callable
from pathlib import Path

import sentencepiece

from crosstune.tokenizer.sentencepiece import file as sentencepiece_file


def test_the_file_says_what_the_library_says(
    tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    path = train_sentencepiece(tmp_path / "t.model", english, pad_id=3)
    model = sentencepiece_file.read(path)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids = range(reference.get_piece_size())
    assert [piece.text for piece in model.pieces] == [reference.id_to_piece(index) for index in ids]
    assert [piece.score for piece in model.pieces] == [reference.get_score(index) for index in ids]
    assert [index for index in ids if model.pieces[index].kind == 3] == [i for i in ids if reference.is_control(i)]
    assert [index for index in ids if model.pieces[index].kind == 6] == [i for i in ids if reference.is_byte(i)]
    assert model.special_ids == {"unk_token": 0, "bos_token": 1, "eos_token": 2, "pad_token": 3}


def test_settings_are_read_with_their_defaults(
    tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    model = sentencepiece_file.read(train_sentencepiece(tmp_path / "t.model", english))
    assert (model.model_type, model.byte_fallback, model.treat_whitespace_as_suffix) == (2, True, False)
    assert (model.normalizer, model.rewrites_text) == ("identity", False)
    assert (model.add_dummy_prefix, model.remove_extra_whitespaces) == (True, False)
    assert model.special_ids["pad_token"] == -1
    other = sentencepiece_file.read(train_sentencepiece(tmp_path / "t.model", english, add_dummy_prefix=False))
    assert not other.add_dummy_prefix
