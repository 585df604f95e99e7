from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.tokenizer import stage
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.learn import LearnRequest, first_pieces, learn_new_pieces
from crosstune.tokenizer.sweep import Point, as_table, sweep

BASE = {"kind": "learned", "mixture": "english", "num_pieces": 420}
EXTENSION = {"kind": "learned", "mixture": "korean", "num_new_pieces": 120, "required_syllables": "seen"}
MakeRun = Callable[..., tuple[Recipe, RunFolder]]


@pytest.mark.parametrize("size", [110, 130, 151])
def test_the_first_pieces_are_those_that_a_smaller_size_learns(
    any_base: BpeTokenizer, korean: list[str], size: int
) -> None:
    largest = learn_new_pieces(any_base, korean, LearnRequest("ko", 400, "seen"))
    size += largest.num_for_characters - 100
    assert size < len(largest.pieces)
    assert first_pieces(any_base, largest, size) == learn_new_pieces(any_base, korean, LearnRequest("ko", size, "seen"))


@pytest.mark.slow
def test_more_pieces_make_text_shorter_in_table_file_and_plot(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION, translation=True)
    stage.run(recipe, run)
    points = sweep(recipe, run, [130, 100, 10_000])
    assert [point.num_new_pieces for point in points][:3] == [0, 100, 130]
    assert 130 < points[-1].num_new_pieces < 10_000
    lengths = [point.tokens_per_word for point in points]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 4
    assert points[1].unused_share < points[-1].unused_share < 1
    assert [row["tokens_per_word"] for row in read_json(run.root / "tokenizer" / "sweep.json")["points"]] == lengths
    drawing = ElementTree.parse(run.root / "tokenizer" / "sweep.svg")
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}circle"))) == 3
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("100") == words.count("130") == 1
    assert f"news (base: {lengths[0]:.2f})" in words


def test_the_table_has_a_row_for_each_size_and_a_column_for_each_text() -> None:
    sizes = ((0, 6.0, 0.0), (100, 2.5, 0.12))
    points = [Point(text, size, length, 1.0, share) for size, length, share in sizes for text in ("news", "talk")]
    table = as_table(points)
    assert [column.header for column in table.columns] == ["new pieces", "news", "talk", "unused pieces"]
    lengths = ["6.000", "2.500"]
    assert [list(column.cells) for column in table.columns] == [["0", "100"], lengths, lengths, ["0%", "12%"]]


@pytest.mark.slow
def test_sizes_below_the_characters_and_recipes_that_learn_nothing_are_refused(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION)
    stage.run(recipe, run)
    with pytest.raises(BadInputError, match="sweep: 5 new pieces are too few: single characters alone need"):
        sweep(recipe, run, [5, 130])
    with pytest.raises(BadInputError, match=r"tokenizer.extension is absent. Set"):
        sweep(make_run(BASE)[0], run, [])
