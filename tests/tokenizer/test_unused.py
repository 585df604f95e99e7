"""New pieces that the learning text never holds are counted, and said with the number of pieces that leaves few."""

from collections import Counter

import pytest

from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.learn import LearnRequest, first_pieces, learn_new_pieces
from crosstune.tokenizer.unused import unused_among


def missing_in(tokenizer: BpeTokenizer, pieces: list[str], texts: list[str]) -> tuple[int, int]:
    """Return how many pieces no text is cut into: those of several characters, and the others."""
    seen = Counter(index for ids in tokenizer.encode_lines(texts) for index in ids)
    spelt = [tokenizer.surface(piece) for piece in pieces if not seen[tokenizer.pieces[piece]]]
    steps = [text for text in spelt if text is not None and len(text.strip()) > 1]
    return len(steps), len(spelt) - len(steps)


@pytest.mark.parametrize("size", [130, 400])
def test_unused_pieces_are_those_that_no_text_is_cut_into(any_base: BpeTokenizer, korean: list[str], size: int) -> None:
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", size, "seen"))
    unused = unused_among(any_base, new)
    extended = any_base.with_pieces(new.pieces, new.merges)
    assert (unused.num_steps, unused.characters) == missing_in(extended, new.pieces, korean)
    assert unused.num_pieces == len(new.pieces)


def test_where_they_are_many_the_number_of_pieces_that_leaves_few_is_said(
    any_base: BpeTokenizer, korean: list[str]
) -> None:
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", 400, "seen"))
    unused = unused_among(any_base, new)
    # Each word stands four times in the same four sentences: all of it becomes a piece, and every step before.
    assert unused.is_much and unused.advised < unused.num_pieces
    assert f"num_new_pieces: {unused.advised})" in unused.sentence and "give more text" in unused.sentence
    fewer = unused_among(any_base, first_pieces(any_base, new, unused.advised))
    assert not fewer.is_much and fewer.sentence == str(fewer)


def test_pieces_that_all_occur_need_no_advice(any_base: BpeTokenizer, korean: list[str]) -> None:
    least = learn_new_pieces(any_base, korean, LearnRequest("ko", 400, "seen")).num_for_characters
    new = learn_new_pieces(any_base, korean, LearnRequest("ko", least, "seen"))
    unused = unused_among(any_base, new)
    assert not unused.steps and not unused.is_much and "longer ones" not in unused.sentence
