"""Read what a SentencePiece ``.model`` file says: its pieces, and how it was trained to treat text."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from crosstune.errors import BadInputError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
BPE = 2


@dataclass(frozen=True)
class Piece:
    """One piece; ``kind`` is one of the numbers above, or 6 for a byte."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """The content of a ``.model`` file, as far as it decides how text is cut."""

    pieces: tuple[Piece, ...]
    model_type: int
    byte_fallback: bool
    treat_whitespace_as_suffix: bool
    special_ids: dict[str, int]
    normalizer: str
    rewrites_text: bool
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool


def read(path: Path) -> SentencePieceModel:
    """Read a ``.model`` file.

    The fields are read from the protocol buffer by hand: the classes that sentencepiece ships for it ask for one recent
    version of protobuf, which other tools of a training machine often forbid.

    Raises:
        BadInputError: when it is no SentencePiece model.
    """
    try:
        SentencePieceProcessor(model_file=str(path))
    except RuntimeError as error:
        raise BadInputError(
            f"{path} cannot be read as a SentencePiece model ({error}). Give a tokenizer.model "
            "such as LLaMA-2's, or a folder with tokenizer.json."
        ) from None
    # Numbers of fields and defaults: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
    fields = list(_fields(path.read_bytes()))
    trainer = dict(_fields(b"".join(value for number, value in fields if number == 2)))
    normalizer = dict(_fields(b"".join(value for number, value in fields if number == 3)))
    ids = {"unk_token": (40, 0), "bos_token": (41, 1), "eos_token": (42, 2), "pad_token": (43, -1)}
    return SentencePieceModel(
        pieces=tuple(_piece(value) for number, value in fields if number == 1),
        model_type=_integer(trainer, 3, 1),
        byte_fallback=bool(_integer(trainer, 35, 0)),
        treat_whitespace_as_suffix=bool(_integer(trainer, 24, 0)),
        special_ids={role: _integer(trainer, number, default) for role, (number, default) in ids.items()},
        normalizer=normalizer.get(1, b"").decode("utf-8"),
        rewrites_text=bool(normalizer.get(2, b"")),
        add_dummy_prefix=bool(_integer(normalizer, 3, 1)),
        remove_extra_whitespaces=bool(_integer(normalizer, 4, 1)),
    )


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    (score,) = struct.unpack("<f", fields.get(2, bytes(4)))
    return Piece(fields[1].decode("utf-8"), score, _integer(fields, 3, NORMAL))


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and raw value of each field; the value of an integer is its eight bytes, little endian."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, (value & (1 << 64) - 1).to_bytes(8, "little")
            continue
        length = {1: 8, 5: 4}.get(wire_type)
        if length is None:
            length, position = _varint(data, position)
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            return value, position


def _integer(fields: dict[int, bytes], number: int, default: int) -> int:
    return int.from_bytes(fields[number], "little", signed=True) if number in fields else default
