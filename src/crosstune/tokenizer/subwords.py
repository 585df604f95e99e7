"""The old pieces that each new piece's text had before: what its rows in the model's matrices start from."""

from typing import Any

from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import new_pieces, padding_ids


def subwords(base: BpeTokenizer, extended: BpeTokenizer) -> dict[str, Any]:
    """Return the content of ``subwords.json``; dummies have no old ids."""
    padding = padding_ids(extended)
    dummies = set(padding)
    return {
        "old_size": base.size,
        "new_size": extended.size,
        "subwords": [
            [] if extended.pieces[piece] in dummies else _old_ids(base, extended, piece)
            for piece in new_pieces(base, extended)
        ],
        "padding": padding,
    }


def _old_ids(base: BpeTokenizer, extended: BpeTokenizer, piece: str) -> list[int]:
    """Cut a piece by the base at the level of its model, where no ▁ is put before a piece that begins inside a word."""
    if piece in extended.added:
        piece = base.internal(piece)
    return base.cut_ids(piece)
