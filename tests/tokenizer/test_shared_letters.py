from collections import Counter

import pytest

from crosstune.errors import BadInputError
from crosstune.recipe import Languages, LearnedExtension
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.extension import learn_from
from crosstune.tokenizer.learn import LearnRequest, NewPieces
from crosstune.tokenizer.sentencepiece.writer import with_all_merges
from crosstune.tokenizer.shared_letters import BothTexts, learn_beside_source, worth_learning

GERMAN = [
    "Die Schülerin liest am Morgen ein Buch über Vögel.",
    "Der Lehrer gibt der Schülerin das Buch über Vögel.",
] * 4
WISH = LearnRequest("de", 200, "seen")


def kept(new: NewPieces) -> NewPieces:
    return new


def test_frequent_words_of_the_target_become_pieces(any_base: BpeTokenizer, english: list[str]) -> None:
    new = learn_beside_source(any_base, BothTexts(GERMAN, english), WISH, kept)
    surfaces = {any_base.surface(piece) for piece in new.pieces}
    assert {" Schülerin", " Vögel"} <= surfaces
    assert "ü" in new.promised


def test_source_text_is_cut_as_before_where_that_is_asked(any_base: BpeTokenizer, english: list[str]) -> None:
    # English that shares stretches with the German words: "Schul", "lehr", "über".
    text = [*english, "Schulz met a lehrer of uber Vogel fame; the Morgen shares fell."]
    free = learn_beside_source(any_base, BothTexts(GERMAN, text), WISH, None)
    bound = learn_beside_source(any_base, BothTexts(GERMAN, text), WISH, kept)
    before = any_base.encode_lines(text)
    assert extend(any_base, free, len(free.pieces)).encode_lines(text) != before
    extended = extend(any_base, bound, len(bound.pieces))
    assert extended.encode_lines(text) == before
    assert all(extended.produces(bound.pieces))
    target = [len(ids) for ids in extended.encode_lines(GERMAN[:2])]
    assert sum(target) < 0.75 * sum(len(ids) for ids in any_base.encode_lines(GERMAN[:2]))


def test_words_between_signs_are_source_text_too(byte_level_base: BpeTokenizer, english: list[str]) -> None:
    text = [*english, "(Morgen) «Buch» don'Buch\tBuch über_Morgen"]
    new = learn_beside_source(byte_level_base, BothTexts(GERMAN, text), WISH, kept)
    extended = extend(byte_level_base, new, len(new.pieces))
    assert extended.encode_lines(text) == byte_level_base.encode_lines(text)


def test_a_character_that_source_text_holds_stays_as_it_was(small_base: BpeTokenizer, english: list[str]) -> None:
    text = [*english, "Müller"]
    new = learn_beside_source(small_base, BothTexts(GERMAN, text), WISH, kept)
    assert "ü" not in new.pieces and "ü" not in new.promised and "ö" in new.pieces
    extended = extend(small_base, new, len(new.pieces))
    assert extended.encode_lines(text) == small_base.encode_lines(text)


def test_every_merge_that_sentencepiece_would_do_counts(small_base: BpeTokenizer, english: list[str]) -> None:
    text = [*english, "Morgen Morgan Buchs"]
    new = learn_beside_source(
        small_base, BothTexts(GERMAN, text), WISH, lambda found: with_all_merges(small_base, found)
    )
    extended = extend(small_base, with_all_merges(small_base, new), len(new.pieces))
    assert extended.encode_lines(text) == small_base.encode_lines(text)


def test_only_words_that_are_the_targets_and_are_cut_worse_are_learnt_from(small_base: BpeTokenizer) -> None:
    target = Counter({" Schülerin": 5, " the": 5, " book": 2})
    source = Counter({" the": 50, " book": 20, " student": 9})
    assert worth_learning(small_base, target, source) == {" Schülerin": 5}


def test_without_source_text_it_is_said_what_is_missing(small_base: BpeTokenizer) -> None:
    with pytest.raises(BadInputError, match=r"'de' shares its letters with 'en'.*Add a mixture"):
        learn_beside_source(small_base, BothTexts(GERMAN, []), WISH, kept)


def test_where_no_word_is_cut_worse_nothing_is_learnt_and_no_tokenizer_of_dummies_is_made(
    any_base: BpeTokenizer, english: list[str]
) -> None:
    settings = LearnedExtension(kind="learned", mixture="texts", num_new_pieces=50)
    with pytest.raises(BadInputError, match=r"none is worth learning.*`tokenizer: base`"):
        learn_from(settings, Languages(source="en", target="vi"), any_base, BothTexts(english, english))
