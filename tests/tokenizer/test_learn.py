import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from crosstune.errors import BadInputError
from crosstune.languages.characters import ks_x_1001_syllables
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.learn_base import learn_base
from crosstune.tokenizer.pre_tokens import PreTokens


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


@pytest.mark.parametrize("deny", [("하",), ("나라",), ("는", "나라가"), ("나하",)])
def test_pieces_beside_a_denied_string_are_learnt_as_if_it_stood_nowhere(
    any_base: BpeTokenizer, deny: tuple[str, ...]
) -> None:
    """Else dummies stand in the place of all that the trainer would have joined with it."""
    words = [chr(0xAC00 + 28 * first) + chr(0xAC00 + 28 * second) for first in range(12) for second in range(12)]
    text = " ".join(f"{word}하는 {word}나라가 {word}하는 {word}나라가" for word in words)
    new = learn_new_pieces(any_base, [text], LearnRequest("ko", 160, "seen", deny=deny))
    surfaces = [any_base.surface(piece) or "" for piece in new.pieces]
    assert len(new.pieces) == 160
    assert not any(string in surface for surface in surfaces for string in deny if len(surface) > 1)
    assert all(extend(any_base, new, 160).produces(new.pieces))


def test_allowed_words_and_denied_strings_are_meant_as_the_normalizer_spells_them() -> None:
    base = byte_level_base(["nothing"], 256, normalizers.Lowercase())
    request = LearnRequest("ru", 60, "seen", allow=("Лес",), deny=("Кот",))
    new = learn_new_pieces(base, ["Кот котик. Дом домик."] * 3, request)
    surfaces = [base.surface(piece) or "" for piece in new.pieces]
    assert {" домик", " лес"} <= {*surfaces} and not any("кот" in surface for surface in surfaces)


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


def byte_level_base(texts: list[str], size: int, normalizer: Any = None) -> BpeTokenizer:
    """A byte-level base that keeps words whole: spaces alone part them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    split = pre_tokenizers.Split(Regex(r" ?[^\s\p{P}]+|\s+(?!\S)|\s+|\p{P}+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return BpeTokenizer(json.loads(tokenizer.to_str()))


def test_words_become_pieces_on_a_base_whose_own_pieces_end_inside_their_letters() -> None:
    # Vowel signs before the same first two bytes of the next letter: such a base joins these.
    base = byte_level_base(["াক াগ াচ াজ াট াড াত াদ াপ াব াম ার াল াস"] * 9, 262)
    inside = [base.surface(piece) for piece in base.cut(base.internal("াকাগাচ"))]
    assert None in inside
    words = ["নাগাকাদ", "বাজাচাত"]
    new = learn_new_pieces(base, [" ".join(["", *words])] * 4, LearnRequest("bn", 100, "seen"))
    extended = extend(base, new, 100)
    for word in words:
        (ids,) = extended.encode_lines([f"a {word}"])
        assert extended.piece_of[ids[-1]] == extended.internal(f" {word}")
    assert all(extended.produces(new.pieces))


def test_bytes_of_a_letter_that_is_too_rare_for_a_piece_are_joined_to_nothing() -> None:
    base = byte_level_base(["nothing"], 256)
    texts = ["কথা বলা " * 50, "কথাঌ কথাঌ"]
    new = learn_new_pieces(base, texts, LearnRequest("bn", 100, "seen", character_coverage=0.99))
    assert "ঌ" not in new.promised
    assert not any(base.internal("ঌ")[-1:] in piece for piece in new.pieces)


def test_no_piece_is_learnt_for_a_spelling_that_the_normalizer_changes() -> None:
    # Two words of the same kinds of letters: NFC takes the second's last letter apart, the first's not.
    base = byte_level_base(["nothing"], 256, normalizers.NFC())
    new = learn_new_pieces(base, ["হল হ\u09df হলে হ\u09dfে"] * 3, LearnRequest("bn", 100, "seen"))
    extended = extend(base, new, 100)
    assert all(extended.produces(new.pieces))
    assert extended.internal(" হ\u09af\u09bc") in new.pieces


DEEPSEEK = (r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|\s+(?!\S)|\s+")


@pytest.mark.parametrize("expressions", [DEEPSEEK, (r"\p{Hiragana}+|[\p{Han}&&[^々]]+| ?\p{L}+|\s+",)])
@pytest.mark.parametrize("text", ["カー 人々 ラー 々人", "人々 カー 々人 ラー"])
def test_letters_of_one_category_that_the_pre_tokenizer_tells_apart_are_parted_apart(
    expressions: tuple[str, ...], text: str
) -> None:
    """DeepSeek's knows kana and 一 to 龥; ー is among them, and 々, a letter of the same category, is not."""
    tokenizer = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(False, use_regex=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([""], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    base = BpeTokenizer(json.loads(tokenizer.to_str()))
    words = text.split()
    assert [*PreTokens(base).of_each(words)] == [PreTokens(base).of(word) for word in words]
    new = learn_new_pieces(base, [text] * 3, LearnRequest("ja", 60, "seen"))
    pieces = {base.surface(piece) for piece in new.pieces}
    assert {"カー", "ラー"} <= pieces and "人々" not in pieces
    assert all(extend(base, new, 60).produces(new.pieces))


@given(
    words=st.lists(
        st.text(st.sampled_from([*" ab1'책을가각ᄀㅋ", "\u1161", "\u09df", "\u200d", "\n"]), min_size=1, max_size=6)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_words_are_parted_many_at_once_as_one_by_one(any_base: BpeTokenizer, words: list[str]) -> None:
    # The base's own normalizer spells spaces, which the words that are parted rely on.
    own = any_base.content["normalizer"]
    decomposing = {"type": "Sequence", "normalizers": [{"type": "NFD"}, *([own] if own else [])]}
    bases = [any_base, BpeTokenizer(any_base.content | {"normalizer": decomposing})]
    for base in bases:
        # Each with nothing learned of the others.
        assert [*PreTokens(base).of_each(words)] == [PreTokens(base).of(word) for word in words]


def test_words_that_fall_apart_are_cut_into_their_characters(any_base: BpeTokenizer) -> None:
    joined = [("책", "을"), ("▁", "도")] if any_base.style == "sentencepiece" else []
    base = any_base.with_pieces(["책", "을", "도", "서", "관", *map("".join, joined)], joined)
    words = [
        f"{space}{word}"
        for space in ("", "▁", "▁▁")
        for word in ("도서관", "서관", "책을", "관을", "서a", "쀍서", "the")
    ]
    apart = [word for word in words if base.falls_apart(word)]
    assert all(base.cut(word) == list(word) for word in apart)
    assert apart == (["서관", "▁서관"] if any_base.style == "sentencepiece" else [])
