from rich.console import Console

from crosstune.tokenizer import fertility
from crosstune.tokenizer.bpe import BpeTokenizer


def test_tokens_are_counted_per_white_space_word_and_bytes_per_token(small_base: BpeTokenizer) -> None:
    row = fertility.measure(("news", "ko"), ["책 the", "the  the"], "base", small_base.tokenizer)
    # ▁ + three bytes, ▁the; ▁the, ▁, ▁the.
    assert (row.lines, row.words, row.tokens, row.bytes) == (2, 4, 8, 15)
    assert row.tokens_per_word == 2.0
    assert row.bytes_per_token == 1.875


def test_no_lines_give_zero_and_no_division_by_it(small_base: BpeTokenizer) -> None:
    assert fertility.measure(("news", "ko"), [], "base", small_base.tokenizer).tokens_per_word == 0


def test_json_and_table_name_the_splitter(small_base: BpeTokenizer) -> None:
    rows = [fertility.measure(("news", "ko"), ["책"], "base", small_base.tokenizer)]
    assert fertility.as_json(rows, "abc")["word_splitter"] == "whitespace"
    console = Console(record=True, width=120)
    console.print(fertility.as_table(rows))
    assert "whitespace" in (text := console.export_text())
    assert "4.000" in text
