"""Tokenizers: learn or take a base, extend its vocabulary with target-language pieces, prove it, measure it."""
