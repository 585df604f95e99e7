"""The tokens that end an answer: a tokenizer's EOS, and those that a model's generation settings name beside it."""

from collections.abc import Collection

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of all tokens that end an answer; chat models have several (end of turn, end of text)."""
    return stop_ids(getattr(model, "generation_config", None), tokenizer)


def stop_ids(settings: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of all tokens that end an answer, by a model's generation settings and its tokenizer."""
    found: int | Collection[int] | None = getattr(settings, "eos_token_id", None)
    others = () if found is None else (found,) if isinstance(found, int) else found
    return frozenset({int(tokenizer.eos_token_id), *(index for index in others if 0 <= index < len(tokenizer))})
