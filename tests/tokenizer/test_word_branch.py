import json
from typing import Any

import pytest
from hypothesis import given, settings
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from crosstune.errors import BadInputError
from crosstune.languages.characters import every_letter
from crosstune.tokenizer import verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.word_branch import has_branch, with_whole_words
from tests.tokenizer.conftest import ENGLISH, LLAMA3_PATTERN
from tests.tokenizer.texts import MIXES, has_no_special_token

HINDI = ["यह किताब पुस्तकालय में है।", "विद्यार्थी पुस्तकालय में किताब पढ़ता है।", "(किताब) «है» LGहै 3है है-है"] * 3
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
PRE_TOKENIZERS = {
    "LLaMA-3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"), BYTES]),
    "GPT-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "SmolLM2": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "Phi-4": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "removed", invert=True), BYTES]),
    "several splits": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
            pre_tokenizers.Split(Regex(r"\p{L}+|[^\p{L}]+"), "isolated"),
            BYTES,
        ]
    ),
}


def a_base(pre_tokenizer: Any) -> BpeTokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ENGLISH * 4, trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<|end|>"])
    return BpeTokenizer(json.loads(tokenizer.to_str()))


BASES = {name: a_base(pre_tokenizer) for name, pre_tokenizer in PRE_TOKENIZERS.items()}
BRANCHED = {name: with_whole_words(base, "hi", "en") for name, base in BASES.items()}


@pytest.mark.parametrize("name", BASES)
def test_words_across_marks_become_pieces_and_the_proof_holds(name: str) -> None:
    base = BASES[name]
    branched = BRANCHED[name]
    new = learn_new_pieces(branched, HINDI, LearnRequest("hi", 200, "seen"))
    extended = extend(branched, new, 200)
    assert [extended.surface(piece) for piece in extended.cut(extended.internal(" पुस्तकालय"))] == [" पुस्तकालय"]
    (ids,) = extended.encode_lines(["a पुस्तकालय"])
    assert [extended.piece_of[index] for index in ids] == ["a", extended.internal(" पुस्तकालय")]
    samples = verify.Samples(
        [*ENGLISH], ["日本", "한국"], [*HINDI, *verify.AWKWARD], new.promised, letters=every_letter("hi", "en")
    )
    assert [item.name for item in verify.verify(base, extended, samples) if item.failures] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_words_of_two_targets_stay_whole_each_in_its_own_branch(name: str) -> None:
    both = with_whole_words(BRANCHED[name], "th", "en")
    parts = [part for part, _ in both.tokenizer.pre_tokenizer.pre_tokenize_str("a पुस्तकालय ที่นี่ b")]
    assert {both.internal(" पुस्तकालय"), both.internal(" ที่นี่")} <= {*parts}
    assert both.encode_lines([*ENGLISH]) == BASES[name].encode_lines([*ENGLISH]) and has_branch(both.content)


# In "several splits" no word takes a space along, which those of the branch do.
@pytest.mark.parametrize("name", sorted({*BASES} - {"several splits"}))
@pytest.mark.parametrize(
    "before", ["a\n\n", "a\r\n\r\n", "a \t", "a\t\t", "a\n\t\t", "a \u00a0\u00a0", "\u3000\u3000", "a  "]
)
def test_white_space_before_a_target_word_is_cut_as_before(name: str, before: str) -> None:
    spans = [
        [span for _, span in one.tokenizer.pre_tokenizer.pre_tokenize_str(before + "किताब") if span[1] < len(before)]
        for one in (BASES[name], BRANCHED[name])
    ]
    assert spans[0] == spans[1]


def test_rare_marks_are_no_reason_for_a_branch() -> None:
    assert with_whole_words(BASES["GPT-2"], "am", "en") is BASES["GPT-2"]
    assert with_whole_words(BASES["GPT-2"], "ja", "en") is BASES["GPT-2"]


@pytest.mark.parametrize("language", ["hi", "th", "ml", "km", "ar"])
def test_a_word_of_any_script_with_marks_stays_whole_beside_signs_digits_and_latin_letters(language: str) -> None:
    words = {"hi": "हिन्दी", "th": "ที่นี่", "ml": "മലയാളം", "km": "ភាសាខ្មែរ", "ar": "مُحَمَّد"}
    word = words[language]
    branched = with_whole_words(BASES["LLaMA-3"], language, "en")
    for text in (f"({word})", f"LG{word}", f"3{word}3", f" {word}", f"a {word}, {word}"):
        parts = [part for part, _ in branched.tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        assert {branched.surface(part) for part in parts} & {word, f" {word}"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
@settings(max_examples=50, deadline=None)
@given(MIXES.filter(has_no_special_token))
def test_text_without_a_target_letter_is_cut_as_before(name: str, text: str) -> None:
    assert BRANCHED[name].encode_lines([text]) == BASES[name].encode_lines([text])


def test_a_base_that_parts_no_word_stays_as_it_is(small_base: BpeTokenizer) -> None:
    assert with_whole_words(small_base, "hi", "en") is small_base


def test_a_branch_is_recognised() -> None:
    assert has_branch(BRANCHED["GPT-2"].content)
    assert not has_branch(BASES["GPT-2"].content) and not has_branch(BASES["several splits"].content)


def test_a_pre_tokenizer_that_takes_no_branch_is_refused_with_the_reason() -> None:
    prefixed = a_base(pre_tokenizers.ByteLevel(add_prefix_space=True))
    with pytest.raises(BadInputError, match=r"keep_words_whole: .*puts a space before each part"):
        with_whole_words(prefixed, "hi", "en")
    merged = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{M}"), "merged_with_previous"), BYTES])
    with pytest.raises(
        BadInputError, match=r"\(Split, ByteLevel\) would still part words such as .*Remove the setting"
    ):
        with_whole_words(a_base(merged), "hi", "en")


def test_an_allowed_word_that_the_base_parts_is_refused_with_the_setting_that_helps() -> None:
    request = LearnRequest("hi", 200, "seen", allow=("हिन्दी",))
    with pytest.raises(BadInputError, match=r"allow: \['हिन्दी'\] .*splits them first.*keep_words_whole: true"):
        learn_new_pieces(BASES["LLaMA-3"], HINDI, request)
    branched = BRANCHED["LLaMA-3"]
    assert branched.internal(" हिन्दी") in learn_new_pieces(branched, HINDI, request).pieces
