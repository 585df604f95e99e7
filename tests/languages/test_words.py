"""Words and sentences are counted as a reader counts them."""

import pytest

from crosstune.languages.words import sentences_of, words_of


@pytest.mark.parametrize(
    ("text", "code", "count"),
    [
        ("- one, two -- three!", "en", 3),
        ("well-known 3.5 %", "en", 2),
        ("나는 집에 간다.", "ko", 3),
        ("今日は海。", "ja", 4),
        ("我用 Python 3 写。", "zh", 5),
        ("ฉันชอบ", "th", 5),
        ("", "en", 0),
        ("* … *", "ko", 0),
    ],
)
def test_words_are_what_stands_between_spaces_and_characters_where_there_are_none(
    text: str, code: str, count: int
) -> None:
    assert len(words_of(text, code)) == count, words_of(text, code)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Kim paid 2.50. She left.", ["Dr. Kim paid 2.50.", "She left."]),
        ("J. K. wrote it", ["J. K. wrote it"]),
        ('"Yes." He left...', ['"Yes."', "He left..."]),
        ("1. Bread\n2. Milk", ["1. Bread", "2. Milk"]),
        ("Title\nA text.", ["Title", "A text."]),
        ("비가 왔다. 그래서요?", ["비가 왔다.", "그래서요?"]),
        ("雨だ。「そう。」行く！", ["雨だ。", "「そう。」", "行く！"]),
        ("मैं घर गया। वह आया।", ["मैं घर गया।", "वह आया।"]),
        ("...", []),
    ],
)
def test_a_stop_ends_a_sentence_but_for_numbers_and_short_forms(text: str, sentences: list[str]) -> None:
    assert sentences_of(text) == sentences
