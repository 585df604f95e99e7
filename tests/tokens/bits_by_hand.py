"""Bits per byte computed one token at a time by plain transformers, as docs/evaluation.md defines them."""

import math
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase


@torch.inference_mode()
def by_hand(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> float:
    before = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    bits = 0.0
    for text in texts:
        tokens = [before, *tokenizer.encode(text, add_special_tokens=False)]
        # Token 0 is given; 1 to max_length are the first window, and so on; the last window reads as much as fits.
        for place in range(1, len(tokens)):
            window_ends = min((place - 1) // max_length * max_length + max_length, len(tokens) - 1)
            row = torch.tensor([tokens[max(0, window_ends - max_length) : place]])
            bits -= float(model(row).logits[0, -1].log_softmax(-1)[tokens[place]]) / math.log(2)
    return bits / sum(len(text.encode()) for text in texts)
