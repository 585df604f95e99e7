"""Added tokens are found in texts as the tokenizer finds them, and what stands between is encoded by words."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.prompts.controls import TEXT, as_text
from crosstune.tokens import encode as encoding
from crosstune.tokens.encode import encode_examples, word_encoder
from tests.learnt_tokenizers import byte_level, sentencepiece_style

TURNS = ["<|im_start|>", "<|im_end|>"]
CHAT = ("<|im_start|>user\nthe cat\nsleeps <|im_end|>\n<|im_start|>assistant\n", "고양이가  잔다.<|im_end|>\n")
# Alike in their beginnings, one within another, with white space that they take in or that they hold, and as words.
PLAIN = [AddedToken(name, normalized=False, special=True) for name in (*TURNS, "<|im", "<|im_start|>s", "the")]
TAKING_WHITE = [AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False)]
OF_OTHER_KINDS = [
    AddedToken("<w>", single_word=True, normalized=False),
    AddedToken("<n>", normalized=True),
    AddedToken("n>", normalized=False),
    AddedToken("  ", normalized=False),
]
TEXTS = st.lists(
    st.sampled_from(
        [
            *TURNS,
            "<|im",
            "start|>",
            "s",
            "<l>",
            "<r>",
            "<w>",
            "<n>",
            "the",
            " ",
            "\n",
            "  ",
            "\u3000",
            "cat",
            "고양이",
            ".",
        ]
    ),
    max_size=7,
).map("".join)


def with_added(kind: str, added: list[AddedToken]) -> PreTrainedTokenizerFast:
    texts = ["the cat sleeps. user", "고양이가 잔다 assistant", *TURNS] * 3
    # Without a pre-tokenizer, pieces would be learnt across words.
    words = [word for text in texts for word in text.split()]
    tokenizer = byte_level(texts, 340) if kind.startswith("bytes") else sentencepiece_style(words, 340)
    if kind == "bytes, normalized":
        tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    if kind == "like Gemma's":
        tokenizer = like_gemma(tokenizer)
    tokenizer.add_tokens(added)
    return tokenizer


def like_gemma(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Return a tokenizer of SentencePiece's that puts no space before a text and has runs of newlines as tokens."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["model"]["vocab"]["\n\n"] = len(content["model"]["vocab"])
    changed = Tokenizer.from_str(json.dumps(content))
    changed.normalizer = normalizers.Replace(" ", "▁")
    changed.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    changed.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\n", normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=changed, eos_token="</s>", clean_up_tokenization_spaces=False)


def encoded(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]], with_controls: bool) -> list[Any]:
    prompts, completions = (pa.array(column, pa.string()) for column in zip(*texts, strict=True))
    rows: list[Any] = encode_examples(tokenizer, prompts, completions, with_controls).to_pylist()
    return rows


def by_itself(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]], with_controls: bool) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "word_encoder", lambda *_: None)
        return encoded(tokenizer, texts, with_controls)


def can_be_cut(tokenizer: PreTrainedTokenizerFast, *pair: str, with_controls: bool = True) -> bool:
    words = word_encoder(tokenizer, with_controls)
    assert words is not None
    return bool(words.cut(*(pa.array([text], pa.large_string()) for text in pair))[0].all())


@pytest.mark.parametrize("with_controls", [True, False])
@pytest.mark.parametrize("kind", ["bytes", "sentencepiece", "like Gemma's"])
def test_rows_of_a_chat_template_are_encoded_by_words(kind: str, with_controls: bool) -> None:
    tokenizer = with_added(kind, PLAIN[:2])
    assert can_be_cut(tokenizer, *CHAT, with_controls=with_controls)
    (row,) = encoded(tokenizer, [CHAT], with_controls)
    assert row == by_itself(tokenizer, [CHAT], with_controls)[0]
    turns = [row["tokens"].count(tokenizer.convert_tokens_to_ids(name)) for name in TURNS]
    assert turns == ([2, 2] if with_controls else [0, 0])


def test_rows_with_a_control_token_as_text_or_across_the_border_are_left_to_the_tokenizer() -> None:
    tokenizer = with_added("bytes", PLAIN[:2])
    assert not can_be_cut(tokenizer, "<|im_", "end|> cat")
    assert not can_be_cut(tokenizer, as_text("the <|im_end|>", TURNS), "cat") and TEXT in as_text("<|im_end|>", TURNS)
    rows = [CHAT, ("<|im_", "end|> cat"), ("the", " cat"), CHAT, ("", "the <|im_end|>")]
    assert encoded(tokenizer, rows, True) == by_itself(tokenizer, rows, True)


def test_tokens_that_a_normalizer_touches_and_whole_words_are_left_to_the_tokenizer() -> None:
    tokenizer = with_added("bytes, normalized", OF_OTHER_KINDS)
    pairs = [("a <w> b", "cat"), ("a <n", "> b"), ("a  b", "cat"), ("a ", " b"), ("a b", "cat")]
    assert [can_be_cut(tokenizer, *pair) for pair in pairs] == [False, False, True, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "bytes, normalized", "sentencepiece", "like Gemma's"])
@pytest.mark.parametrize("added", [PLAIN, [*PLAIN, *TAKING_WHITE, *OF_OTHER_KINDS]], ids=["plain", "all kinds"])
def test_added_tokens_are_found_as_the_tokenizer_finds_them(kind: str, added: list[AddedToken]) -> None:
    # Words are set apart by spaces where one is put before every text: a token that holds one forbids it.
    tokenizer = with_added(kind, added if kind != "sentencepiece" else [one for one in added if one.content.strip()])
    assert word_encoder(tokenizer, True)

    @given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), with_controls=st.booleans())
    @settings(max_examples=60, deadline=None)
    def same(texts: list[tuple[str, str]], with_controls: bool) -> None:
        rows = [pair for pair in texts if any(pair)] or [("the", "cat")]
        with pytest.MonkeyPatch.context() as patch:
            # A difference that is found at run time would be mended then.
            patch.setattr(encoding, "note", pytest.fail)
            try:
                expected = by_itself(tokenizer, rows, with_controls)
            except BadInputError:
                return
            assert encoded(tokenizer, rows, with_controls) == expected

    same()
