"""Tokenizers of both kinds, learnt from a few texts."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast


def sentencepiece_style(texts: Sequence[str], size: int, with_line_breaks: bool = False) -> PreTrainedTokenizerFast:
    """Return a tokenizer laid out like LLaMA-2's: byte fallback, a space before every text, BOS first.

    Line breaks are parts of pieces, or bytes, as with LLaMA-2.
    """
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False
    )
    learnt_from = texts if with_line_breaks else [text.replace("\n", " ") for text in texts]
    tokenizer.train_from_iterator(learnt_from, trainer)
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )


def byte_level(texts: Sequence[str], size: int, pad: str | None = None) -> PreTrainedTokenizerFast:
    """Return a tokenizer laid out like GPT-2's: words are cut by its rule, letters are bytes, no BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|end|>", *([pad] if pad else [])],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token=pad, clean_up_tokenization_spaces=False
    )
