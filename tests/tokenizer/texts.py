"""Texts that tokenizers are tried on."""

from hypothesis import strategies as st

from crosstune.tokenizer.learn_base import SPECIAL_PIECES

SYLLABLES = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
KOREAN = st.one_of(
    st.text(SYLLABLES, min_size=1, max_size=4),
    # The last is 한, written in its letters.
    st.sampled_from(["책을", "도서관에서", "선생님은", "책", "뷁", "ㅋㅋㅋ", "ㅠㅠ", "\u1112\u1161\u11ab"]),
)
EMOJI = st.sampled_from(["👍🏽", "👩‍👩‍👧‍👦", "🇰🇷", "❤️", "☕", "🙂"])
SPACES = st.text(" \t\n", min_size=1, max_size=4)
SOURCE = st.one_of(
    st.sampled_from(["the", "Book", "don't", "3.14%", "### Response:", "naïve", "“quoted”", "—", "…"]),
    st.text(st.characters(max_codepoint=0x24F), min_size=1, max_size=5),
)


def has_no_special_token(text: str) -> bool:
    """A ▁ is put before whatever follows a special token, and decoding takes only a text's first away."""
    return not any(piece in text for piece in SPECIAL_PIECES)


SOURCE_MIXES = st.lists(st.one_of(SOURCE, EMOJI, SPACES)).map("".join).filter(has_no_special_token)
MIXES = st.lists(st.one_of(KOREAN, SOURCE, EMOJI, SPACES)).map("".join).filter(has_no_special_token)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁")).filter(has_no_special_token)
