"""Every text that is learnt, asked or compared has one form."""

import re
import unicodedata
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.prompts import cleaning


def test_texts_become_nfc_without_control_characters() -> None:
    decomposed = unicodedata.normalize("NFD", "가")
    assert len(decomposed) == 2
    assert cleaning.clean(f" {decomposed}\x00나\ufeff\t다\r\n라\n") == "가나\t다\n라"


@pytest.mark.parametrize("sign", ["\r", "\x0b", "\x0c", "\x85"])
def test_old_line_ends_and_form_feeds_part_words(sign: str) -> None:
    assert cleaning.clean(f"가{sign}나") == "가\n나"


HOSTILE = st.sampled_from(
    [*" \t\n\r\x0b\x0c\x00\x1f\x7f\x85\xa0\xad", *"aé각ᄀ\u1161\u0301\u200b\ufeff\u2028\u212a", "\U0010fff4"]
)


@given(st.text(HOSTILE | st.characters(exclude_categories=("Cs",)), max_size=12))
def test_the_short_way_for_printable_texts_changes_nothing(text: str) -> None:
    whole = unicodedata.normalize("NFC", re.sub("\r\n?|[\x0b\x0c\x85]", "\n", text))
    kept = [
        sign
        for sign in whole
        if sign in "\t\n" or (sign not in "\ufeff\U0010fff4\U0010fff5" and category(sign) != "Cc")
    ]
    assert cleaning.clean(text) == "".join(kept).strip()
