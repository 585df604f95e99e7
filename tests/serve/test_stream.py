"""A streamed answer is the text of its tokens, whatever it was cut into."""

import threading
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.serve.decoding import Decoding, Ending
from crosstune.serve.stream import stream
from tests.learnt_tokenizers import byte_level

CODE = "def f():\n    if x:\n        return 1\n\n  # 한국어\n 中文 고양이가 😀\n   "


def of_letters(text: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer laid out like LLaMA-2's: a line break is a byte, each letter a piece."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, *text.replace("\n", "")]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    ends = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **ends)


@pytest.mark.parametrize("kind", ["letters", "bytes"])
@pytest.mark.parametrize("text", [CODE, "\n\n  - a\n    - b\n", "한 줄"])
def test_what_is_streamed_is_what_the_tokens_say_together(llama: PreTrainedModel, kind: str, text: str) -> None:
    tokenizer = of_letters(CODE) if kind == "letters" else byte_level([CODE], 300)
    tokens = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]

    def write(streamer: Any, input_ids: torch.Tensor, **_: Any) -> None:
        for part in (input_ids, *map(torch.tensor, ([token] for token in tokens))):
            streamer.put(part)
        streamer.end()

    llama.generate = write  # type: ignore[method-assign]
    ending = Ending()
    parts = [*stream((llama, tokenizer), [1], Decoding(99), threading.Lock(), ending)]
    assert "".join(parts) == tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert (ending.num_tokens, ending.finished) == (len(tokens), True)
    assert sum(map(bool, parts)) >= text.strip().count("\n")
