"""Write an extended tokenizer as a SentencePiece ``.model`` that cuts text as the fast one does."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from crosstune.errors import BadInputError
from crosstune.recipe import GivenTokenizer, LearnedExtension, Recipe
from crosstune.runs.folder import RunFolder
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BYTE_PIECES, BpeTokenizer
from crosstune.tokenizer.extend import new_pieces, padding_ids
from crosstune.tokenizer.learn import NewPieces
from crosstune.tokenizer.sentencepiece import file as sentencepiece_file
from crosstune.tokenizer.sentencepiece.file import NORMAL
from crosstune.tokenizer.texts import data_root

MODEL = "tokenizer.model"
_UNUSED = 5
_BYTES, _FLOAT = 2, 5  # wire types of protocol buffers


def with_all_merges(base: BpeTokenizer, new: NewPieces) -> NewPieces:
    """Return the new pieces with every merge that makes them.

    SentencePiece has no list of merges: it joins any two neighbours whose text together is a piece. The fast tokenizer
    must do the same to be equal.
    """
    known = ({*base.pieces} - base.added - {*BYTE_PIECES}) | {*new.pieces}
    merges = [
        (piece[:end], piece[end:])
        for piece in new.pieces
        for end in range(1, len(piece))
        if piece[:end] in known and piece[end:] in known
    ]
    return replace(new, merges=merges)


def find_base_model(recipe: Recipe, run: RunFolder) -> Path | None:
    """Return the base's ``.model`` if the recipe asks for an extended one.

    Raises:
        BadInputError: when the base has none.
    """
    settings = recipe.tokenizer.extension
    if not isinstance(settings, LearnedExtension) or not settings.write_sentencepiece:
        return None
    base = recipe.tokenizer.base
    if isinstance(base, GivenTokenizer):
        found = given.find(base, data_root(recipe, run), "tokenizer.base.path").fetch()
        model = found if found.is_file() else found / MODEL
        if model.is_file():
            return model
    raise BadInputError(
        f"tokenizer.extension.write_sentencepiece: tokenizer.base has no {MODEL} to extend. "
        f"Set tokenizer.base.path to a {MODEL} such as LLaMA-2's, or to a folder with one, or remove it."
    )


def write_model(base_model: Path, path: Path, base: BpeTokenizer, extended: BpeTokenizer) -> None:
    """Write the base's ``.model`` with the further pieces of the extended tokenizer, in the order of their ids.

    A protocol buffer's repeated fields may be appended to: all bytes of the base stay as they are. New scores lie below
    every old one (LLaMA-2's runs of spaces have -1e9), so that new merges come last, as they do in the fast tokenizer.
    """
    lowest = min(piece.score for piece in sentencepiece_file.read(base_model).pieces)
    # Float32 numbers near -1e9 lie 64 apart: twice the distance at the lowest keeps every score distinct.
    step = max(1.0, 2 * float(np.spacing(np.float32(abs(lowest)))))
    padding = set(padding_ids(extended))
    messages = [
        _field(1, _piece(piece, lowest - step * rank, _UNUSED if extended.pieces[piece] in padding else NORMAL))
        for rank, piece in enumerate(new_pieces(base, extended), start=1)
    ]
    path.write_bytes(base_model.read_bytes() + b"".join(messages))


def _piece(text: str, score: float, kind: int) -> bytes:
    return _field(1, text.encode("utf-8")) + bytes([2 << 3 | _FLOAT]) + struct.pack("<f", score) + bytes([3 << 3, kind])


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
