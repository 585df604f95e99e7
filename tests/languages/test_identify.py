"""A language is told from the first five words of a sentence, and neighbours are let pass."""

import pytest

from crosstune.languages.identify import is_in_language
from crosstune.languages.parallel_sample import sample_of, sampled_languages
from crosstune.languages.registry import language


def starts(code: str) -> list[str]:
    """Return the first five words of thirty sentences; characters, where there are no spaces."""
    sentences = sample_of(code) or []
    spaced = language(code).is_spaced
    return [" ".join(one.split()[:5]) if spaced else one[:10] for one in sentences]


@pytest.mark.parametrize("code", sampled_languages())
def test_five_words_pass_as_their_own_language_and_not_as_english(code: str) -> None:
    assert all(is_in_language(text, code) for text in starts(code))
    assert not any(is_in_language(text, "en") for text in starts(code)) or code == "en"


def test_capitals_do_not_mislead() -> None:
    assert is_in_language("THE WOMAN OPENED THE WINDOW AND THE COLD WIND CAME IN.", "en")
    assert not is_in_language("DIE FRAU ÖFFNETE DAS FENSTER, UND DER KALTE WIND KAM HEREIN.", "en")


def test_where_a_script_is_one_languages_own_its_letters_tell() -> None:
    assert is_in_language("파이썬에서 for item in list: 문을 씁니다.", "ko")
    assert not is_in_language("The woman opened the window.", "ko")
    # Chinese characters are shared. A language in a script that is not its usual one is told by the letters alone.
    assert is_in_language("Žena je otvorila prozor, a hladan vetar je ušao.", "sr-Latn")
    assert not is_in_language("今天早上我去海边看海了。", "ja") and is_in_language(
        "今日の朝は海を見に行きました。", "ja"
    )
