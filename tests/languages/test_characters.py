import re
from collections import Counter

from crosstune.languages import characters


def test_ks_x_1001_has_2350_syllables_in_code_point_order() -> None:
    syllables = characters.ks_x_1001_syllables()
    assert len(syllables) == len(set(syllables)) == 2350
    assert syllables[0] == "가"
    assert syllables[-1] == "힝"
    assert "뷁" not in syllables


def test_covering_keeps_the_most_frequent_characters_and_drops_the_tail() -> None:
    assert characters.covering(Counter("가" * 90 + "나" * 9 + "뷁"), 0.95) == ["가", "나"]
    assert characters.covering(Counter("가나"), 1.0) == ["가", "나"]
    assert characters.covering(Counter(), 0.5) == []


def test_letters_leave_out_what_stands_on_letters_of_the_other_language() -> None:
    is_letter = re.compile(f"[{characters.letters_of('ru', 'en')}]").fullmatch
    assert is_letter("ж") and is_letter("ё")
    assert not is_letter("a") and not is_letter("\u0301") and not is_letter("!") and not is_letter("3")


def test_letters_hold_the_marks_of_their_script() -> None:
    for code, text in (("hi", "हिन्दी"), ("th", "ภาษาไทยก็ดี"), ("ar", "مُحَمَّد"), ("ja", "コーヒー々"), ("he", "שָׁלוֹם")):
        assert re.fullmatch(f"[{characters.letters_of(code, 'en')}]+", text)


def test_a_language_that_shares_its_letters_keeps_them_all() -> None:
    assert re.fullmatch(f"[{characters.letters_of('vi', 'en')}]+", "ếabcđ")


def test_every_letter_of_korean_holds_all_11172_syllables() -> None:
    assert set(characters.ALL_SYLLABLES) < set(characters.every_letter("ko", "en"))
