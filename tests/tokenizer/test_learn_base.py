import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import BYTE_PIECES, BpeTokenizer
from crosstune.tokenizer.learn_base import learn_base
from tests.tokenizer.texts import ANY_TEXT


@pytest.fixture(scope="session")
def bilingual_base() -> BpeTokenizer:
    return BpeTokenizer(learn_base(["The old book, the new book. 책을 읽는다 책을 읽는다."] * 9, 370, "ko"))


def test_pieces_lie_as_in_llama_2(small_base: BpeTokenizer) -> None:
    pieces = sorted(small_base.pieces, key=small_base.pieces.__getitem__)
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert tuple(pieces[3:259]) == BYTE_PIECES
    assert len(pieces) == small_base.size == 420


def test_a_word_takes_the_space_before_it_along(small_base: BpeTokenizer) -> None:
    assert small_base.tokenizer.encode("the book", add_special_tokens=False).tokens == ["▁the", "▁book"]


def test_digits_newlines_and_letters_of_other_scripts_never_share_a_piece(small_base: BpeTokenizer) -> None:
    for piece in small_base.pieces:
        if piece not in BYTE_PIECES and len(piece) > 1:
            assert not re.search(r"\d|\s", piece)
            assert not (re.search("[가-힣]", piece) and re.search("[A-Za-z]", piece))
    assert small_base.tokenizer.encode("\n10", add_special_tokens=False).tokens == ["▁", "<0x0A>", "1", "0"]


def test_letters_of_two_targets_never_share_a_piece() -> None:
    base = BpeTokenizer(learn_base(["The old book. 책책ああ책책ああ"] * 9, 362, "ko", "ja"))
    assert {"책책", "ああ"} <= base.pieces.keys()
    assert not [piece for piece in base.pieces if "책" in piece and "あ" in piece]


def test_bos_comes_only_with_special_tokens(small_base: BpeTokenizer) -> None:
    plain = small_base.tokenizer.encode("the book", add_special_tokens=False).ids
    assert small_base.tokenizer.encode("the book").ids == [1, *plain]


def test_rare_characters_are_written_in_bytes(english: list[str]) -> None:
    base = BpeTokenizer(learn_base([*english * 20, "한"], 400, "ko"))
    assert "한" not in base.pieces
    assert base.decode_lines(base.encode_lines(["한"])) == ["한"]


def test_learning_twice_gives_the_same_tokenizer_whatever_the_order_of_texts(english: list[str]) -> None:
    assert learn_base(english, 400, "ko") == learn_base(english[::-1], 400, "ko")


@given(ANY_TEXT)
def test_every_text_survives_encoding_and_decoding(bilingual_base: BpeTokenizer, text: str) -> None:
    assert bilingual_base.decode_lines(bilingual_base.encode_lines([text])) == [text]


@given(st.text(alphabet=" \n\tab한글.1"))
def test_every_arrangement_of_spaces_survives(bilingual_base: BpeTokenizer, text: str) -> None:
    assert bilingual_base.decode_lines(bilingual_base.encode_lines([text])) == [text]


def test_too_few_pieces_for_the_characters_are_refused(english: list[str]) -> None:
    with pytest.raises(BadInputError, match=r"num_pieces: 300 is too small: .* need 354: set at least that many"):
        learn_base(english, 300, "ko")


def test_more_pieces_than_the_text_holds_are_refused(english: list[str]) -> None:
    with pytest.raises(BadInputError, match=r"num_pieces: 9000 is too large: the mixture gives only \d+.*add text"):
        learn_base(english, 9000, "ko")
