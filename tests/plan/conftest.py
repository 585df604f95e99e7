"""The runs that the tests of training make, too."""

from tests.train.conftest import base_tokenizer, extended_tokenizer, fresh_process, make_run, tokenizers

__all__ = ["base_tokenizer", "extended_tokenizer", "fresh_process", "make_run", "tokenizers"]
