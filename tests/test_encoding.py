"""Prompt and completion, tokenised apart, say what the whole text says."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from crosstune.encoding import check_join, encode_completions, encode_prompt, encode_prompts
from crosstune.errors import BadInputError
from crosstune.prompts import TEMPLATES, Template
from tests.train.conftest import sentencepiece_style

TEXTS = [
    ("Translate this", "the cat sleeps", "고양이가 잔다"),
    ("Say  it\n", "", " 두 칸  공백 "),
    ("긍정?", "x", "a\n\nb"),
]


def byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["\n\nthe cat ### Response:\n\n"] * 3 + [text for row in TEXTS for text in row], trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", clean_up_tokenization_spaces=False)


def tokenizers() -> list[PreTrainedTokenizerFast]:
    return [sentencepiece_style(["the cat sleeps ### Response:", "고양이가 잔다"], 330), byte_level()]


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=["sentencepiece", "byte-level"])
@pytest.mark.parametrize("template", list(TEMPLATES.values()), ids=lambda template: template.name)
def test_the_joined_tokens_decode_to_the_whole_text(tokenizer: PreTrainedTokenizerFast, template: Template) -> None:
    texts = [(template.prompt(instruction, given), template.completion(out)) for instruction, given, out in TEXTS]
    prompts = encode_prompts(tokenizer, [prompt for prompt, _ in texts])
    completions = encode_completions(tokenizer, [completion for _, completion in texts])
    check_join(tokenizer, texts, prompts, completions)
    for (prompt, completion), given, learnt in zip(texts, prompts, completions, strict=True):
        assert learnt[-1] == tokenizer.eos_token_id
        start = 0 if tokenizer.bos_token_id is None else 1
        assert tokenizer.decode([*given[start:], *learnt[:-1]]) == prompt + completion
        assert given == encode_prompt(tokenizer, prompt)


def test_bos_stands_first_where_there_is_one() -> None:
    sentencepiece, other = tokenizers()
    assert encode_prompt(sentencepiece, "the cat")[0] == sentencepiece.bos_token_id
    assert encode_prompt(sentencepiece, "") == [sentencepiece.bos_token_id]
    assert encode_prompt(other, "the cat") == other("the cat")["input_ids"]


def test_a_join_that_changes_the_text_is_an_error() -> None:
    tokenizer = tokenizers()[0]
    text = [("the", "\ncat")]
    prompts = encode_prompts(tokenizer, ["the"])
    with pytest.raises(BadInputError, match="tokenised apart, say"):
        check_join(tokenizer, text, prompts, [tokenizer("cat", add_special_tokens=False)["input_ids"] + [2]])
