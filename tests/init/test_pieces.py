"""How many new pieces a recipe asks for: what text pays for, and no more than the budget trains."""

from crosstune.init.pieces import PieceChoice

TRIED = PieceChoice(14_000, "90% of the gain", {2_000: 0.4, 4_000: 0.5, 14_000: 0.6}, {"required_syllables": "seen"})


def test_pieces_that_are_seen_often_enough_stay() -> None:
    assert TRIED.trainable(10 * 14_000, "Korean") is TRIED
    assert TRIED.extension == {"num_new_pieces": 14_000, "required_syllables": "seen"}
    assert PieceChoice(0, "too little text").trainable(0, "Korean").extension is None


def test_a_short_training_gets_the_most_pieces_that_it_sees_often_enough() -> None:
    fewer = TRIED.trainable(10 * 4_000 + 1, "Korean")
    assert (fewer.number, fewer.saved, fewer.extension) == (
        4_000,
        0.5,
        {"num_new_pieces": 4_000, "required_syllables": "seen"},
    )
    assert "4,000 of 14,000" in fewer.why and "40,001 tokens in Korean, 10 a piece" in fewer.why


def test_a_training_too_short_for_the_fewest_pieces_gets_none() -> None:
    none = TRIED.trainable(10_000, "Korean")
    assert (none.number, none.saved, none.extension) == (0, 0.0, None)
    assert "10,000 tokens in Korean, 5 for each of the fewest pieces (2,000); it takes 10" in none.why
