import re

import pytest

from crosstune.errors import BadInputError
from crosstune.languages.characters import ks_x_1001_syllables
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.learn_base import learn_base


def seen(number: int) -> LearnRequest:
    return LearnRequest("ko", number, "seen")


def test_frequent_words_become_pieces_with_their_space(small_base: BpeTokenizer, korean: list[str]) -> None:
    pieces = learn_new_pieces(small_base, korean, seen(400)).pieces
    assert "▁도서관에서" in pieces
    assert "▁책을" in pieces


def test_new_pieces_hold_target_letters_and_at_most_one_space_before_them(
    any_base: BpeTokenizer, korean: list[str]
) -> None:
    pieces = learn_new_pieces(any_base, [*korean, "한국KBS한국 3월 12월,책을"], seen(600)).pieces
    surfaces = [any_base.surface(piece) for piece in pieces]
    whole = [surface for surface in surfaces if surface is not None]
    assert len(whole) > 150
    assert all(re.fullmatch(r" ?[가-힣ㄱ-ㆎ]+", surface) for surface in whole)


def test_all_2350_syllables_are_one_piece_each_though_never_seen(any_base: BpeTokenizer, korean: list[str]) -> None:
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", 2600, "ks_x_1001"))
    extended = extend(any_base, new, 2600)
    for syllable in ks_x_1001_syllables():
        assert extended.cut(extended.internal(syllable)) == [extended.internal(syllable)]


@pytest.mark.slow
def test_the_syllables_of_a_base_that_glues_spaces_to_bytes_stay_whole_after_a_space(
    byte_level_base: BpeTokenizer, korean: list[str]
) -> None:
    new = learn_new_pieces(byte_level_base, korean, LearnRequest("ko", 6000, "ks_x_1001"))
    extended = extend(byte_level_base, new, 6000)
    for syllable in ks_x_1001_syllables():
        pieces = extended.cut(extended.internal(f" {syllable}"))
        assert "".join(extended.surface(piece) or "broken" for piece in pieces) == f" {syllable}"


def test_seen_letters_are_pieces_and_rare_misprints_are_not(small_base: BpeTokenizer, korean: list[str]) -> None:
    pieces = learn_new_pieces(small_base, [*korean * 200, "ㆍㆎ"], seen(400)).pieces
    assert {"ㅋ", "ㅠ", "책"} <= set(pieces)
    assert "ㆎ" not in pieces


def test_learning_goes_on_from_the_merges_that_the_base_has(english: list[str], korean: list[str]) -> None:
    base = BpeTokenizer(learn_base([*english, *["x책을"] * 300, *korean], 480, "ko"))
    assert base.cut("책을책을") == ["책을", "책을"]
    new = learn_new_pieces(base, korean * 3 + ["그 책을책을"] * 50, seen(200))
    assert ("▁책을", "책을") in new.merges
    extended = extend(base, new, 200)
    assert all(extended.cut(piece) == [piece] for piece in new.pieces)


def test_the_order_of_texts_does_not_matter(any_base: BpeTokenizer, korean: list[str]) -> None:
    assert learn_new_pieces(any_base, korean, seen(300)) == learn_new_pieces(any_base, korean[::-1], seen(300))


def test_text_without_target_letters_gives_no_piece(any_base: BpeTokenizer, english: list[str]) -> None:
    assert learn_new_pieces(any_base, english, seen(300)).pieces == []


def test_too_few_pieces_for_the_characters_are_refused(small_base: BpeTokenizer, korean: list[str]) -> None:
    with pytest.raises(
        BadInputError, match=r"num_new_pieces: 500 is too small: .* need 23\d\d .*required_syllables: seen"
    ):
        learn_new_pieces(small_base, korean, LearnRequest("ko", 500, "ks_x_1001"))
    with pytest.raises(BadInputError, match=r"num_new_pieces: 5 is too small: .* Set at least that many\.$"):
        learn_new_pieces(small_base, korean, seen(5))


def test_an_allowed_word_becomes_a_piece_though_never_seen(any_base: BpeTokenizer, korean: list[str]) -> None:
    assert any_base.internal(" 책갈피") not in learn_new_pieces(any_base, korean, seen(400)).pieces
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", 400, "seen", allow=("책갈피",)))
    assert any_base.internal(" 책갈피") in new.pieces
    assert extend(any_base, new, 400).cut(any_base.internal(" 책갈피")) == [any_base.internal(" 책갈피")]


def test_no_piece_contains_a_denied_string_and_all_stay_reachable(any_base: BpeTokenizer, korean: list[str]) -> None:
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", 400, "seen", deny=("서관",)))
    surfaces = [any_base.surface(piece) or "" for piece in new.pieces]
    assert any("책" in surface for surface in surfaces)
    assert not any("서관" in surface for surface in surfaces)
    extended = extend(any_base, new, 400)
    assert [piece for piece in new.pieces if extended.cut(piece) != [piece]] == []


def test_allowed_words_in_other_letters_or_without_place_are_refused(
    small_base: BpeTokenizer, korean: list[str]
) -> None:
    with pytest.raises(BadInputError, match=r"allow: \['LG전자'\] cannot be pieces: .* Remove them"):
        learn_new_pieces(small_base, korean, LearnRequest("ko", 400, "seen", allow=("LG전자",)))
    with pytest.raises(BadInputError, match=r"allow: \['책을'\] cannot be pieces: .*deny forbids"):
        learn_new_pieces(small_base, korean, LearnRequest("ko", 400, "seen", allow=("책을",), deny=("책을",)))


def test_character_coverage_decides_which_rare_letters_become_pieces(
    small_base: BpeTokenizer, korean: list[str]
) -> None:
    texts = [*korean * 200, "ㆍㆎ"]
    assert {"ㆍ", "ㆎ"} <= set(learn_new_pieces(small_base, texts, LearnRequest("ko", 400, "seen", 1.0)).pieces)
