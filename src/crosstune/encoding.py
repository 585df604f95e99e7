"""Text to tokens, the same way in training, evaluation and chat: prompt and completion are tokenised apart."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError

# Set before a completion while it is tokenised, and taken off again: SentencePiece puts a space before every text,
# which would stand between prompt and completion. A newline is a piece of its own there and never merges.
_ANCHOR = "\n"


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Return BOS, if the tokenizer has one, and the prompt's tokens."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Return BOS, if the tokenizer has one, and the prompt's tokens, for each prompt; an empty prompt is BOS alone."""
    start = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    return [start + tokens for tokens in _encode(tokenizer, prompts)]


def encode_completions(tokenizer: PreTrainedTokenizerBase, completions: Sequence[str]) -> list[list[int]]:
    """Return the tokens of completions as they stand behind a prompt, each with EOS at its end."""
    end = [int(tokenizer.eos_token_id)]
    if not _puts_a_space_before(tokenizer):
        return [tokens + end for tokens in _encode(tokenizer, completions)]
    anchor = _encode(tokenizer, [_ANCHOR])[0]
    anchored = _encode(tokenizer, [_ANCHOR + completion for completion in completions])
    for completion, tokens in zip(completions, anchored, strict=True):
        if tokens[: len(anchor)] != anchor:
            raise BadInputError(
                f"the completion {completion[:60]!r} cannot be tokenised apart from its prompt: this tokenizer puts a "
                "space before every text, and merges newlines. Use a tokenizer whose newline is a piece of its own."
            )
    return [tokens[len(anchor) :] + end for tokens in anchored]


def check_join(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[tuple[str, str]],
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
) -> None:
    """Check that prompt and completion tokens, joined, say the same as the whole text tokenised at once.

    Raises:
        BadInputError: with the first example where they do not.
    """
    joined = [[*prompt, *completion[:-1]] for prompt, completion in zip(prompts, completions, strict=True)]
    whole = encode_prompts(tokenizer, [prompt + completion for prompt, completion in texts])
    # Equal tokens say the same; only the others (a merge across the border) are decoded.
    different = [index for index in range(len(texts)) if joined[index] != whole[index]]
    if not different:
        return
    said = tokenizer.batch_decode([joined[index] for index in different])
    meant = tokenizer.batch_decode([whole[index] for index in different])
    for index, left, right in zip(different, said, meant, strict=True):
        if left != right:
            raise BadInputError(
                f"prompt and completion, tokenised apart, say {left[-80:]!r}, but together they say {right[-80:]!r}: "
                f"this tokenizer changes text at the border of {texts[index][0][-20:]!r}. Use another prompt template."
            )


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return encoded


def _puts_a_space_before(tokenizer: PreTrainedTokenizerBase) -> bool:
    pieces = tokenizer.convert_ids_to_tokens(_encode(tokenizer, ["a"])[0])
    return bool(pieces[0].startswith("▁"))
