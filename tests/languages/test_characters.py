from collections import Counter

import pytest

from crosstune.errors import BadInputError
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


def test_a_target_language_in_latin_letters_is_refused_with_the_ones_that_are_possible() -> None:
    with pytest.raises(BadInputError, match=r"languages.target: 'de' was asked.*Possible: .*ko.*kind: given"):
        characters.letters_of("de")
