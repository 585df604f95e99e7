"""Prompt and completion, tokenized apart, say what the whole text says."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.tokens import encode as encoding
from crosstune.tokens.added_tokens import AddedTokens, CutPairs
from crosstune.tokens.encode import ENCODED, encode_examples, encode_prompt, encode_prompts
from crosstune.tokens.word_borders import borders_of
from crosstune.tokens.word_cache import CachedWordTokenizer
from tests.learnt_tokenizers import byte_level, sentencepiece_style

TEXTS = [
    ("Translate this", "the cat sleeps", "고양이가 잔다"),
    ("Say  it\n", "", " 두 칸  공백 "),
    ("긍정?", "x", "a\n\nb"),
]


def of_bytes() -> PreTrainedTokenizerFast:
    return byte_level(["\n\nthe cat ### Response:\n\n"] * 3 + [text for row in TEXTS for text in row], 400)


def tokenizers() -> list[PreTrainedTokenizerFast]:
    return [sentencepiece_style(["the cat sleeps ### Response:", "고양이가 잔다"], 330), of_bytes()]


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> list[dict[str, Any]]:
    prompts, completions = (pa.array(column, pa.string()) for column in zip(*texts, strict=True))
    table = encode_examples(tokenizer, prompts, completions)
    assert table.schema == ENCODED
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=["sentencepiece", "byte-level"])
@pytest.mark.parametrize("template", list(TEMPLATES.values()), ids=lambda template: template.name)
def test_the_joined_tokens_decode_to_the_whole_text(tokenizer: PreTrainedTokenizerFast, template: Template) -> None:
    texts = [(template.prompt(instruction, text), template.completion(out)) for instruction, text, out in TEXTS]
    for (prompt, completion), row in zip(texts, encode(tokenizer, texts), strict=True):
        tokens, num_prompt = row["tokens"], row["num_prompt"]
        assert tokens[-1] == tokenizer.eos_token_id
        start = 0 if tokenizer.bos_token_id is None else 1
        assert tokenizer.decode(tokens[start:-1]) == prompt + completion
        assert tokens[:num_prompt] == encode_prompt(tokenizer, prompt)


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=["sentencepiece", "byte-level"])
def test_a_text_without_prompt_is_learnt_from_its_first_token_on(tokenizer: PreTrainedTokenizerFast) -> None:
    (row,) = encode(tokenizer, [("", "the cat\nsleeps")])
    assert row["tokens"] == [*encode_prompt(tokenizer, "the cat\nsleeps"), tokenizer.eos_token_id]
    assert row["num_prompt"] == 1 and not row["crosses"]


# Spaces, newlines, the sign that stands for a space, special tokens, bytes without a piece, words met before.
FRAGMENTS = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\n\n",
        "12345",
        ",",
        "(",
        "/",
        "ж",
        "'s",
        "...",
        "\u3000",
        "n\u0303",
        "é",
        "日本",
        "the",
        "cat",
        "sleeps",
        "고양이",
        "잔다",
        "▁",
        "<s>",
        "</s>",
        "😀",
        "\t",
        "a",
        ":",
        "<0x0A>",
    ]
)
TEXT = st.lists(FRAGMENTS, min_size=1, max_size=8).map("".join)


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """A tokenizer like LLaMA-2's, whose pieces keep to words."""
    return sentencepiece_style(
        ["the", "cat", "sleeps", "the", "고양이가", "잔다", "   ::", "  a", "Response:at"] * 3, 330
    )


# What Llama 3 and Qwen cut text by, before BPE joins bytes; Qwen puts accents and letters together first.
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def cut_by(pattern: str, normalizer: Any = None) -> PreTrainedTokenizerFast:
    """Return a tokenizer over bytes that first cuts text by a regular expression."""
    tokenizer = Tokenizer.from_str(of_bytes().backend_tokenizer.to_str())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", clean_up_tokenization_spaces=False)


@pytest.fixture(scope="module", params=["sentencepiece", "GPT-2", "Llama 3", "Qwen"])
def by_words(request: pytest.FixtureRequest, sentencepiece: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A tokenizer that text is cut for at the borders of words."""
    others = {"GPT-2": of_bytes, "Llama 3": lambda: cut_by(LLAMA_3), "Qwen": lambda: cut_by(LLAMA_3, normalizers.NFC())}
    return sentencepiece if request.param == "sentencepiece" else others[request.param]()


@pytest.mark.slow
@given(texts=st.lists(st.tuples(st.just("") | TEXT, TEXT), min_size=1, max_size=4))
@settings(max_examples=60)
def test_encoding_by_words_gives_the_tokens_that_the_tokenizer_gives_at_once(
    by_words: PreTrainedTokenizerFast, texts: list[tuple[str, str]]
) -> None:
    assert borders_of(by_words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "word_encoder", lambda *_: None)
        try:
            expected = encode(by_words, texts)
        except BadInputError:
            patch.undo()
            with pytest.raises(BadInputError):
                encode(by_words, texts)
            return
    assert encode(by_words, texts) == expected


def test_pieces_across_the_front_of_a_word_forbid_encoding_by_words(sentencepiece: PreTrainedTokenizerFast) -> None:
    content = json.loads(sentencepiece.backend_tokenizer.to_str())
    for piece in ("a▁b", "a▁", ".\n", "\n\n"):
        vocabulary = {**content["model"]["vocab"], piece: len(content["model"]["vocab"])}
        changed = Tokenizer.from_str(json.dumps({**content, "model": {**content["model"], "vocab": vocabulary}}))
        assert not borders_of(PreTrainedTokenizerFast(tokenizer_object=changed, eos_token="</s>"))


def test_bytes_that_are_cut_elsewhere_than_at_spaces_forbid_encoding_by_words() -> None:
    # Words with the space behind them, digits joined over spaces, punctuation that takes the spaces behind it.
    for pattern in (r"\S+\s*|\s+", r"[\p{N} ]+|[^\p{N} ]+| +", r"\p{P}+ *| ?[^\s\p{P}]+|\s+"):
        assert not borders_of(cut_by(pattern))
    assert not borders_of(cut_by(LLAMA_3, normalizers.Lowercase()))
    assert not borders_of(cut_by(LLAMA_3, normalizers.Replace("a ", "b")))


GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lo}\p{M}]*[\p{Ll}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lo}\p{M}]+"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# A full stop goes on with a word.
DOTTED = r" ?[\p{L}\p{N}.]+| ?[^\s\p{L}\p{N}.]+|\s+(?!\S)|\s+"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (LLAMA_3, ["diet", ".\n", "2", ".", " See", " (it's", ")\n\n", "한글", ",", " ж", "/a", "\n", "中"]),
        (O200K, ["diet", ".\n", "2", ".", " See", " (it's", ")\n\n", "한글", ",", " ж", "/a", "\n", "中"]),
        # Two newlines before a word are cut otherwise than at the end of a text.
        (GPT_2, ["diet", ".\n2", ".", " See", " (it's", ")\n\n한글", ",", " ж", "/a", "\n中"]),
        (DOTTED, ["diet.\n2.", " See", " (it's)\n\n한글,", " ж/a\n中"]),
    ],
    ids=["Llama 3", "o200k", "GPT-2", "dotted words"],
)
def test_words_end_wherever_a_regular_expression_cuts_in_any_case(pattern: str, words: list[str]) -> None:
    borders = borders_of(cut_by(pattern))
    assert borders is not None
    content = "".join(words).encode()
    is_start = borders.starts(np.frombuffer(content, np.uint8), np.array([0, len(content)]))
    places = np.flatnonzero(is_start).tolist()
    assert [content[first:last].decode() for first, last in pairwise(places)] == words


def test_words_end_between_two_characters_that_no_piece_of_sentencepiece_joins(
    sentencepiece: PreTrainedTokenizerFast,
) -> None:
    pieces = {piece.replace("▁", " ") for piece in sentencepiece.get_vocab()}
    borders = borders_of(sentencepiece)
    assert borders is not None
    content = "the cat (sleeps),  고양이가\n잔다. zq".encode()
    is_start = borders.starts(np.frombuffer(content, np.uint8), np.array([0, len(content)]))
    places = np.flatnonzero(is_start).tolist()
    words = [content[first:last].decode() for first, last in pairwise(places)]
    assert {"\n", "z", "q"} <= set(words) and any(word.startswith("  ") for word in words)
    for left, right in pairwise(words):
        assert not any(left[-1] + right[0] in piece for piece in pieces)


def test_new_words_are_handed_to_the_tokenizer_many_at_once(by_words: PreTrainedTokenizerFast) -> None:
    words = encoding.word_encoder(by_words, False)
    assert words is not None
    asked: list[int] = []
    real = words.encode_behind
    words = CachedWordTokenizer(
        words.borders,
        AddedTokens({}, has_normalizer=False),
        lambda texts: asked.append(len(texts)) or real(texts),  # type: ignore[func-returns-value]
        puts_a_space_before=False,
    )
    text = " ".join(f"{word}{ending}" for word in ("cat", "sleeps", "잔다", "고양이") for ending in "abcdefghijklmn")
    _, pairs = words.cut(pa.array([text], pa.large_string()), pa.array([""], pa.large_string()))
    words.encode(pairs)
    assert sum(asked) <= 3
    words.encode(pairs)
    assert len(asked) == 1  # they are known now


def test_a_border_that_changes_the_text_is_found_each_time(sentencepiece: PreTrainedTokenizerFast) -> None:
    words = encoding.word_encoder(sentencepiece, False)
    assert words is not None
    words.joins.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sentencepiece), "decode", lambda _, tokens: str(len(tokens)))
        patch.setattr(encoding, "that_differ", lambda *given: given[-1])
        for _ in range(2):
            with pytest.raises(BadInputError, match="tokenized apart, say"):
                encode(sentencepiece, [("the c", "at")])
    assert encode(sentencepiece, [("the c", "at")])[0]["crosses"] and len(words.joins) == 1


def test_words_that_have_other_tokens_than_the_tokenizer_gives_are_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = of_bytes()
    right = encode(tokenizer, [("Translate this", "고양이가 잔다")] * 3)
    words = encoding.word_encoder(tokenizer, False)
    assert words is not None
    by_words = words.encode

    def damaged(pairs: CutPairs) -> Any:
        found = by_words(pairs)
        return replace(found, tokens=found.tokens[::-1])

    monkeypatch.setattr(words, "encode", damaged)
    assert encode(tokenizer, [("Translate this", "고양이가 잔다")] * 3) == right
    assert "tokenized whole" in " ".join(capsys.readouterr().err.split())


def test_bos_stands_first_where_there_is_one() -> None:
    sentencepiece, other = tokenizers()
    assert encode_prompt(sentencepiece, "the cat")[0] == sentencepiece.bos_token_id
    assert encode_prompt(sentencepiece, "") == [sentencepiece.bos_token_id]
    assert encode_prompt(other, "the cat") == other("the cat")["input_ids"]


def test_settings_of_an_earlier_call_do_not_matter(sentencepiece: PreTrainedTokenizerFast) -> None:
    expected = encode_prompts(sentencepiece, ["the cat", "the cat sleeps"])
    sentencepiece.pad_token = "<unk>"
    sentencepiece(["the cat", "a"], padding="max_length", max_length=9, truncation=True)
    assert encode_prompts(sentencepiece, ["the cat", "the cat sleeps"]) == expected


def test_a_piece_across_the_border_is_counted_and_not_used(sentencepiece: PreTrainedTokenizerFast) -> None:
    rows = encode(sentencepiece, [("the c", "at"), ("the", " cat")])
    assert [row["crosses"] for row in rows] == [True, False]
    assert rows[0]["tokens"][: rows[0]["num_prompt"]] == encode_prompt(sentencepiece, "the c")


def test_a_join_that_changes_the_text_is_an_error() -> None:
    stripping = of_bytes()
    stripping.backend_tokenizer.normalizer = normalizers.Strip()
    with pytest.raises(BadInputError, match="tokenized apart, say 'thecat', but together they say 'the cat'"):
        encode(stripping, [("the ", "cat")])
