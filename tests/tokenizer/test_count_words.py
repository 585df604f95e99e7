"""Words that are counted as arrays are those that the expression of a word finds."""

import random

import pytest

from crosstune.languages import characters
from crosstune.tokenizer import count_words as module
from crosstune.tokenizer.count_words import count_words

TEXTS = (
    "나는 학교에 갔다.  가방",
    " 나는",
    "학교에갔다",
    "x나는y z",
    "می‌خواهم ‍‌ که",
    "",
    " ",
    "가",
    "क्‍ष और क्‍",
    "\n가\n 나 ",
)
SIGNS = " \n.aZ가나مکا\u200c\u200dकिमی\u3000\ud800\U00020000"


@pytest.mark.parametrize("single_spaces", [True, False])
@pytest.mark.parametrize("language", ["ko", "hi", "fa"])
def test_arrays_count_what_an_expression_finds(
    language: str, single_spaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = characters.letters_of(language, "en")
    expression = ("(?:(?<! ) )?" if single_spaces else " ?") + characters.word_of(letters)
    draw = random.Random(1)
    drawn = ["".join(draw.choices(SIGNS, k=draw.randrange(12))) for _ in range(300)]
    for batch_characters in (1, 30, 10_000):
        monkeypatch.setattr(module, "BATCH_CHARACTERS", batch_characters)
        monkeypatch.setattr(module, "BYTES_TOGETHER", 100 * batch_characters)
        texts = [*TEXTS, *drawn, *TEXTS[:2]]
        found = characters.count_words(texts, expression)
        assert list(count_words(texts, letters, single_spaces).items()) == list(found.items())
        assert len(found) > 20


def test_one_character_and_none_are_counted() -> None:
    assert not count_words([], "가-힣", True) and not count_words([""], "가-힣", True)
    assert count_words(["가"], "가-힣", True) == {"가": 1}
    assert count_words([" 가", "  나"], "가-힣", True) == {" 가": 1, "나": 1}
