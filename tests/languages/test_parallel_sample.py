"""The bundled sentences: as many in each language, each in its own script."""

import re

import pytest

from crosstune.languages.characters import letters_of
from crosstune.languages.identify import which_of
from crosstune.languages.parallel_sample import sample_of, sampled_languages
from crosstune.languages.registry import shares_letters


@pytest.mark.parametrize("code", sampled_languages())
def test_each_language_says_thirty_different_things_in_its_own_letters(code: str) -> None:
    lines = sample_of(code) or []
    assert len(lines) == len(set(lines)) == 30
    own = re.compile(f"[{letters_of(code)}]")
    assert all(len(own.findall(line)) > 0.6 * sum(map(str.isalpha, line)) for line in lines)
    if code != "en" and shares_letters(code, "en"):
        assert which_of(" ".join(lines), ("en", code)) == code


def test_regions_share_a_sample_and_scripts_do_not() -> None:
    assert sample_of("es-MX") == sample_of("es")
    assert sample_of("zh-Hant") is None and sample_of("hy") is None
