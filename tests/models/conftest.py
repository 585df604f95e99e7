"""The models and tokenizers that the tests of evaluation use, too."""

from tests.evaluate.conftest import gpt_neox, hybrid, llama, model, tokenizer

__all__ = ["gpt_neox", "hybrid", "llama", "model", "tokenizer"]
