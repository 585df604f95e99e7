"""Bits per byte, for training and evaluation alike: what plain text costs a model, whatever its tokenizer.

Every byte of a text is counted once, and nothing else is: each token of the text is predicted from what stands before
it in its window. Before the first token stands BOS, or EOS where the tokenizer has no BOS; it is given, not scored. The
EOS after a text has no bytes, so it is not scored either.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Window:
    """What a model reads of a text at a time: tokens that are given (at least one), and those that are scored."""

    context: list[int]
    continuation: list[int]


def token_before_text(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return what stands before a text without context: BOS, or EOS where there is none."""
    token = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return int(token)


def windows(tokens: Sequence[int], before: int, max_length: int) -> Iterator[Window]:
    """Yield the windows of a text's own tokens, without BOS and EOS: every token is scored in exactly one of them.

    A model that reads 4 tokens, with B before the text abcdefghij: (B|abcd), (d|efgh), (fgh|ij). The last token of a
    window is scored, but not read. The last window takes as much context as fits, as lm-evaluation-harness does.
    """
    for first in range(0, len(tokens), max_length):
        continuation = list(tokens[first : first + max_length])
        num_context = max_length + 1 - len(continuation)
        context = list(tokens[max(0, first - num_context) : first]) if first else [before]
        yield Window(context, continuation)


def bits_per_byte(nats: float, num_bytes: float) -> float:
    """Return all bits of some texts over all their bytes of UTF-8; ``nats`` is their negative log-probability."""
    return nats / math.log(2) / num_bytes
