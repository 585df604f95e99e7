import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend, new_pieces, padding_ids, refuse_unextendable
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from tests.tokenizer.texts import ANY_TEXT, MIXES, SOURCE_MIXES

PAIRS: dict[str, tuple[BpeTokenizer, BpeTokenizer]] = {}


@pytest.fixture(autouse=True, scope="module")
def pairs(small_base: BpeTokenizer, byte_level_base: BpeTokenizer, korean: list[str]) -> None:
    for name, base in (("sentencepiece", small_base), ("byte_level", byte_level_base)):
        new = learn_new_pieces(base, korean, LearnRequest("ko", 600, "seen"))
        PAIRS[name] = (base, extend(base, new, 600))


@pytest.mark.slow
@settings(max_examples=25)
@pytest.mark.parametrize("style", ["sentencepiece", "byte_level"])
@given(corpus=st.lists(MIXES, max_size=8), text=SOURCE_MIXES)
def test_whatever_it_is_learnt_from_old_ids_and_old_cuts_stay(style: str, corpus: list[str], text: str) -> None:
    base, _ = PAIRS[style]
    new = learn_new_pieces(base, corpus * 2, LearnRequest("ko", 500, "seen", character_coverage=1.0))
    extended = extend(base, new, 500)
    assert {piece: extended.tokenizer.token_to_id(piece) for piece in base.pieces} == base.pieces
    assert sorted(extended.pieces.values()) == list(range(base.size + 500))
    assert extended.encode_lines([text]) == base.encode_lines([text])
    assert [piece for piece in new.pieces if extended.cut(piece) != [piece]] == []
    assert extended.decode_lines(extended.encode_lines(corpus)) == corpus


@pytest.mark.parametrize("style", ["sentencepiece", "byte_level"])
class TestExtended:
    def test_the_vocabulary_grows_by_exactly_what_was_asked(self, style: str) -> None:
        base, extended = PAIRS[style]
        assert extended.size == base.size + 600
        assert extended.tokenizer.get_vocab_size() == base.tokenizer.get_vocab_size() + 600
        assert sorted(extended.pieces.values()) == list(range(extended.size))

    def test_old_pieces_and_added_tokens_keep_their_ids(self, style: str) -> None:
        base, extended = PAIRS[style]
        compiled = extended.tokenizer.get_vocab()
        assert {piece: compiled[piece] for piece in base.pieces} == base.pieces

    def test_old_merges_come_first(self, style: str) -> None:
        base, extended = PAIRS[style]
        assert extended.merges[: len(base.merges)] == base.merges

    @pytest.mark.slow
    @given(SOURCE_MIXES)
    def test_text_without_target_letters_is_cut_as_before(self, style: str, text: str) -> None:
        base, extended = PAIRS[style]
        assert extended.encode_lines([text]) == base.encode_lines([text])

    @pytest.mark.slow
    @given(MIXES)
    def test_mixes_of_korean_english_emoji_and_spaces_survive(self, style: str, text: str) -> None:
        _, extended = PAIRS[style]
        assert extended.decode_lines(extended.encode_lines([text])) == [text]

    @given(ANY_TEXT)
    def test_any_text_survives(self, style: str, text: str) -> None:
        _, extended = PAIRS[style]
        assert extended.decode_lines(extended.encode_lines([text])) == [text]

    def test_every_new_piece_is_what_its_own_text_is_cut_into(self, style: str) -> None:
        base, extended = PAIRS[style]
        dummies = set(padding_ids(extended))
        pieces = [piece for piece in new_pieces(base, extended) if extended.pieces[piece] not in dummies]
        assert len(pieces) > 150
        assert [piece for piece in pieces if extended.cut(piece) != [piece]] == []

    def test_dummies_fill_up_and_are_never_produced(self, style: str) -> None:
        _, extended = PAIRS[style]
        dummies = padding_ids(extended)
        assert dummies == list(range(extended.size - len(dummies), extended.size))
        assert "<crosstune_pad_0>" in extended.pieces
        assert not set(dummies) & set(extended.encode_lines(["<crosstune_pad_0> <crosstune_pad_1>"])[0])
        assert extended.decode_lines([[dummies[0]]]) == ["<crosstune_pad_0>"]

    def test_korean_becomes_much_shorter(self, style: str, korean: list[str]) -> None:
        base, extended = PAIRS[style]
        before, after = (sum(map(len, tokenizer.encode_lines(korean))) for tokenizer in (base, extended))
        assert after < before / 3


def test_special_tokens_above_the_vocabulary_are_still_special(byte_level_base: BpeTokenizer) -> None:
    _, extended = PAIRS["byte_level"]
    ids = extended.encode_lines(["a<|end|>b"])[0]
    assert byte_level_base.pieces["<|end|>"] in ids
    assert extended.tokenizer.decode(ids, skip_special_tokens=True) == "ab"


def test_merges_written_as_text_are_read(small_base: BpeTokenizer) -> None:
    model = small_base.content["model"]
    old_style = model | {"merges": [" ".join(merge) for merge in model["merges"]]}
    assert BpeTokenizer(small_base.content | {"model": old_style}).merges == small_base.merges


def test_a_tokenizer_with_other_ids_is_no_extension(small_base: BpeTokenizer) -> None:
    vocabulary = dict(small_base.pieces)
    vocabulary["▁the"], vocabulary["he"] = vocabulary["he"], vocabulary["▁the"]
    model = small_base.content["model"] | {"vocab": vocabulary}
    with pytest.raises(BadInputError, match=r"2 of 420 old pieces moved or left .*kind: learned"):
        new_pieces(small_base, BpeTokenizer(small_base.content | {"model": model}))
    with pytest.raises(BadInputError, match="0 of 0 new pieces"):
        new_pieces(small_base, small_base)


@pytest.mark.parametrize(
    ("model", "trainer", "reason"),
    [
        (models.Unigram(), trainers.UnigramTrainer(vocab_size=60), "Unigram chooses among all cuts"),
        (models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=60), "WordPiece takes the longest"),
        (models.BPE(), trainers.BpeTrainer(vocab_size=60), "neither byte fallback"),
        (models.WordLevel(), trainers.WordLevelTrainer(vocab_size=60), "WordLevel, which has no merges"),
    ],
    ids=["Unigram", "WordPiece", "BPE without bytes", "WordLevel"],
)
def test_other_models_are_refused_with_reason_and_advice(
    model: models.Model, trainer: trainers.Trainer, reason: str, english: list[str]
) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer.show_progress = False
    tokenizer.train_from_iterator(english, trainer)
    with pytest.raises(BadInputError, match=f"tokenizer.base cannot be extended: .*{reason}.*Start from a model"):
        refuse_unextendable(BpeTokenizer(json.loads(tokenizer.to_str())), "tokenizer.base")


def test_a_normalizer_that_drops_line_breaks_is_refused(small_base: BpeTokenizer) -> None:
    strip = {"type": "Strip", "strip_left": True, "strip_right": True}
    with pytest.raises(BadInputError, match="its normalizer drops or rewrites a line break at the start of a text"):
        refuse_unextendable(BpeTokenizer(small_base.content | {"normalizer": strip}), "tokenizer.base")


def test_ids_with_holes_are_refused(small_base: BpeTokenizer) -> None:
    added = [
        *small_base.content["added_tokens"],
        {**small_base.content["added_tokens"][0], "id": 500, "content": "<x>"},
    ]
    with pytest.raises(BadInputError, match=r"highest id is 500 and it has 421 pieces only.*without gaps"):
        refuse_unextendable(BpeTokenizer(small_base.content | {"added_tokens": added}), "tokenizer.base")


def test_an_extension_without_any_new_text_is_all_dummies(small_base: BpeTokenizer) -> None:
    extended = extend(small_base, NewPieces(), 128)
    assert len(padding_ids(extended)) == 128
