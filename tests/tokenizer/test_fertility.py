from rich.console import Console
from tokenizers import Tokenizer

from crosstune.recipe import Languages
from crosstune.tokenizer import fertility
from crosstune.tokenizer.bpe import BpeTokenizer


def test_tokens_are_counted_per_white_space_word_and_bytes_per_token(small_base: BpeTokenizer) -> None:
    row = fertility.measure("news", "ko", ["책 the", "the  the"], "base", small_base.tokenizer)
    # ▁ + three bytes, ▁the; ▁the, ▁, ▁the.
    assert (row.lines, row.words, row.tokens, row.bytes) == (2, 4, 8, 15)
    assert row.tokens_per_word == 2.0
    assert row.bytes_per_token == 1.875


def test_padding_and_truncation_that_a_file_was_saved_with_count_nothing(small_base: BpeTokenizer) -> None:
    lines = ["책 the", "the  the"]
    for part in ("padding", "truncation"):
        saved = Tokenizer.from_str(small_base.tokenizer.to_str())
        saved.enable_padding(length=40) if part == "padding" else saved.enable_truncation(2)
        assert fertility.measure("news", "ko", lines, "base", Tokenizer.from_str(saved.to_str())).tokens == 8


def test_no_lines_give_zero_and_no_division_by_it(small_base: BpeTokenizer) -> None:
    assert fertility.measure("news", "ko", [], "base", small_base.tokenizer).tokens_per_word == 0


def test_json_and_table_name_the_splitter(small_base: BpeTokenizer) -> None:
    rows = [fertility.measure("news", "ko", ["책"], "base", small_base.tokenizer)]
    assert fertility.as_json(rows, [], "abc")["word_splitter"] == "whitespace"
    console = Console(record=True, width=120)
    console.print(fertility.as_table(rows))
    assert "whitespace" in (text := console.export_text())
    assert "4.000" in text


def test_the_table_sets_the_tokenizers_side_by_side(small_base: BpeTokenizer) -> None:
    rows = [
        fertility.measure("news", "ko", [line], name, small_base.tokenizer)
        for line, name in (("책 책", "base"), ("the the", "extended"))
    ]
    table = fertility.as_table(rows)
    assert [column.header.replace("\n", " ") for column in table.columns][3:] == [
        "tokens per word base",
        "tokens per word extended",
        "bytes per token base",
        "bytes per token extended",
    ]
    assert [list(column.cells) for column in table.columns] == [
        ["news"],
        ["ko"],
        ["1"],
        ["4.000"],
        ["1.000"],
        ["0.875"],
        ["3.500"],
    ]


def test_parity_compares_the_sides_of_parallel_texts_and_of_no_others(small_base: BpeTokenizer) -> None:
    sides = {
        ("news", "en"): ["the the"],
        ("news", "ko"): ["책 책"],
        ("learnt", "en"): ["the"],
        ("learnt", "ko"): ["책"],
    }
    rows = [fertility.measure(*text, lines, "base", small_base.tokenizer) for text, lines in sides.items()]
    korean, english = rows[1].tokens, rows[0].tokens
    found = fertility.parity(rows, {"news": Languages(source="en", target="ko")})
    assert found == [
        {"text": "news", "tokenizer": "base", "languages": "ko / en", "parity": round(korean / english, 4)}
    ]
    assert fertility.parity_line(found[0]).startswith("parity (tokens ko / en), news, base: ")
