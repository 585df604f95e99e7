"""A BPE tokenizer as its ``tokenizer.json`` describes it: pieces, merges, and the text that a piece stands for."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from tokenizers import Tokenizer

Merge = tuple[str, str]
Style = Literal["sentencepiece", "byte_level"]
METASPACE = "▁"
BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def _byte_level_characters() -> tuple[str, ...]:
    """Return GPT-2's character of each byte; tokenizers keeps this table to itself."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return tuple(chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256))


# Nothing merges with a line end; so what follows one is cut as inside a text, where no ▁ is put before it.
BORDER = "\n"
_CHARACTER_OF_BYTE = _byte_level_characters()
_BYTE_PIECES = frozenset(BYTE_PIECES)
_CHARACTERS = dict(enumerate(_CHARACTER_OF_BYTE))
_BYTE_OF_CHARACTER = {character: byte for byte, character in enumerate(_CHARACTER_OF_BYTE)}


@dataclass(frozen=True)
class BpeTokenizer:
    """A BPE tokenizer, read from and written to ``tokenizer.json``.

    ``sentencepiece`` pieces are text with ▁ for a space, and bytes ``<0x..>`` for what has no piece (LLaMA-2);
    ``byte_level`` pieces are UTF-8 bytes written in GPT-2's 256 characters (GPT-2, LLaMA-3, Qwen).
    """

    content: dict[str, Any]

    @cached_property
    def pieces(self) -> dict[str, int]:
        """The id of every piece, added tokens included."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=False)
        return vocabulary | {token["content"]: token["id"] for token in self.content["added_tokens"]}

    @cached_property
    def piece_of(self) -> dict[int, str]:
        """The piece of every id."""
        return {index: piece for piece, index in self.pieces.items()}

    @cached_property
    def merges(self) -> list[Merge]:
        """The merges, the first ranked highest."""
        merges = self.content["model"]["merges"]
        # Older files write a merge as "left right".
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
        return [(left, right) for left, right in pairs]

    @cached_property
    def size(self) -> int:
        """The number of rows that the model's matrices need: the highest id + 1."""
        return max(self.pieces.values()) + 1

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The compiled tokenizer, without truncation and padding."""
        compiled = Tokenizer.from_str(json.dumps(self.content))
        compiled.no_truncation()
        compiled.no_padding()
        return compiled

    @cached_property
    def style(self) -> Style | None:
        """How pieces are spelt; None for a tokenizer that cannot be extended."""
        model = self.content["model"]
        parts = json.dumps([self.content.get("pre_tokenizer"), self.content.get("decoder")])
        if self.model_type != "BPE":
            return None
        if '"ByteLevel"' in parts:
            return "byte_level"
        return "sentencepiece" if model.get("byte_fallback") and METASPACE in model["vocab"] else None

    @property
    def model_type(self) -> str:
        """BPE, Unigram, WordPiece or WordLevel."""
        model = self.content["model"]
        # Old files do not say it.
        return str(model.get("type") or ("BPE" if "merges" in model else "Unigram"))

    @cached_property
    def added(self) -> frozenset[str]:
        """Tokens that are matched before BPE, such as ``<s>``."""
        return frozenset(token["content"] for token in self.content["added_tokens"])

    @cached_property
    def _model(self) -> Any:
        return self.tokenizer.model

    def internal(self, text: str) -> str:
        """Return text as the pieces spell it."""
        if self.style == "sentencepiece":
            return text.replace(" ", METASPACE)
        return text.encode("utf-8").decode("latin-1").translate(_CHARACTERS)

    def surface(self, piece: str) -> str | None:
        """Return the text of a piece, or None for one that is only a part of a character."""
        if self.style == "sentencepiece":
            return None if piece in _BYTE_PIECES else piece.replace(METASPACE, " ")
        try:
            return bytes(_BYTE_OF_CHARACTER[character] for character in piece).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return None

    @cached_property
    def falls_apart(self) -> Callable[[str], object]:
        """What says of an internally spelt string whether `cut` gives its characters: no merge joins the first two."""
        joined = {character for merge in self.merges if all(len(one) == 1 for one in merge) for character in merge}
        vocabulary: dict[str, int] = self.content["model"].get("vocab", {})
        single = [piece for piece in vocabulary if len(piece) == 1 and piece not in joined]
        if self.style != "sentencepiece" or self.content["model"].get("ignore_merges"):
            single = []
        # ▁ is joined with Latin letters; with a character that is joined with none it is not.
        space = METASPACE if METASPACE in vocabulary else ""
        return re.compile(f"[{space}]?[{re.escape(''.join(single))}]+" if single else r"(?!)").fullmatch

    def cut(self, internal: str) -> list[str]:
        """Return the pieces of an internally spelt string, as if it stood inside a text: no ▁ is put before it."""
        return [token.value for token in self._model.tokenize(internal)]

    def cut_ids(self, internal: str) -> list[int]:
        """Return the ids of the pieces that ``cut`` gives."""
        return [token.id for token in self._model.tokenize(internal)]

    def produces(self, pieces: list[str]) -> list[bool]:
        """Return whether the whole tokenizer cuts each piece's own text into that piece, in a text or at its start.

        A part of a character is no text; there the model alone is asked.
        """
        surfaces = [self.surface(piece) for piece in pieces]
        texts = [surface or "" for surface in surfaces]
        (border,) = self.encode_lines([BORDER])
        at_start = self.encode_lines(texts)
        inside = self.encode_lines([BORDER + text for text in texts])
        return [
            self.cut(piece) == [piece] if surface is None else [self.pieces[piece]] in (start, after[len(border) :])
            for piece, surface, start, after in zip(pieces, surfaces, at_start, inside, strict=True)
        ]

    def encode_lines(self, lines: list[str]) -> list[list[int]]:
        """Return the ids of each line, without BOS or EOS."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(lines, add_special_tokens=False)]

    def decode_lines(self, ids: list[list[int]]) -> list[str]:
        """Return the text of each line."""
        return self.tokenizer.decode_batch(ids, skip_special_tokens=False)

    def with_pieces(self, pieces: list[str], merges: list[Merge]) -> Self:
        """Return a tokenizer with new pieces after all old ids, and new merges ranked after all old ones."""
        # Added tokens above the BPE vocabulary (Qwen, LLaMA-3) become its entries too, at their own ids: on loading,
        # tokenizers would else number them anew, after the new pieces.
        vocabulary = self.pieces | {piece: self.size + index for index, piece in enumerate(pieces)}
        ordered = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
        model = self.content["model"] | {"vocab": ordered, "merges": [list(merge) for merge in [*self.merges, *merges]]}
        return type(self)(self.content | {"model": model})
