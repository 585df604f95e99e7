"""Every text that is learnt, asked or compared has one form."""

import unicodedata

import pytest

from crosstune.prompts import cleaning


def test_texts_become_nfc_without_control_characters() -> None:
    decomposed = unicodedata.normalize("NFD", "가")
    assert len(decomposed) == 2
    assert cleaning.clean(f" {decomposed}\x00나\ufeff\t다\r\n라\n") == "가나\t다\n라"


@pytest.mark.parametrize("sign", ["\r", "\x0b", "\x0c", "\x85"])
def test_old_line_ends_and_form_feeds_part_words(sign: str) -> None:
    assert cleaning.clean(f"가{sign}나") == "가\n나"
