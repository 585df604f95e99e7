"""Where tokenizers cut text whatever stands before and behind: borders that no piece crosses, of two kinds of BPE.

SentencePiece vocabularies are cut between two characters that stand side by side in none of their pieces. BPE over
bytes first cuts text by a regular expression. Whichever it is (GPT-2's, Llama 3's, Qwen's, o200k's), a part ends before
spaces between two characters that are not white, and between words and punctuation; that a tokenizer does so is tried.
"""

import json
import re
import string
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

SPACE = "▁"
_SPANS_WORDS = re.compile(rf"\w{SPACE}")
_NEWLINE, _BLANK, _FIRST_BEYOND_ASCII = ord("\n"), ord(" "), 0x80
# What is white beside the space and the newline: regular expressions treat a run of both kinds in ways of their own.
_OTHER_WHITE = "[\t\v\f\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
# Apostrophes go on with a word in some regular expressions: "it's".
_PUNCTUATION = string.punctuation.replace("'", "")
# What words end and begin with, in the texts that a tokenizer over bytes is tried on.
_WORDS = ("a", "Z", "ß", "ж", "가", "中", "9", "123")
_ENDS = (*_WORDS, "n\u0303", "の", "ア", "٣", ".", "...", "'", "'s", ")", "$", "€", "😀", "\u200d", "_", "/")
_AFTER, _BEFORE = [f"x{end}" for end in _ENDS], [f"{end}y" for end in _ENDS]
_RUNS = (" ", "  ", "    ")
_NEWLINES = ("a\n", "가\n", ".\n", ")\n\n", "a\n\n", "\n\n\n", "a \n", "?  \n \n", "9\n")
_REST = ("", "b", "'s", " a", "\n\nB")

WordStarts = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Borders:
    """How a tokenizer's words are found.

    Attributes:
        starts: returns for each byte of texts that lie one behind the other, and the end, whether a word begins there.
        bytes_of: how many bytes of a text each token stands for.
        apart: what no text may contain that is encoded by its words.
        white: a regular expression of characters that no such text may contain; empty for none.
    """

    starts: WordStarts
    bytes_of: NDArray[np.int64]
    apart: tuple[str, ...]
    white: str


def borders_of(tokenizer: PreTrainedTokenizerBase) -> Borders | None:
    """Return how words are found whose tokens, in order, are those of the text; None where there are no such words.

    Of text without added tokens: what stands between them is cut apart from all the rest.
    """
    backend, added = tokenizer.backend_tokenizer, tokenizer.added_tokens_decoder
    if not _is_plain(backend):
        return None
    # Two words together may look like an added token, whose size is asked for then.
    unknown = dict.fromkeys(added, 0)
    if _keeps_to_words(backend, {str(token.content) for token in added.values()}):
        pieces = {index: piece.replace(SPACE, " ") for piece, index in _vocabulary(backend).items()}
        sizes = {index: 1 if _is_byte(piece) else len(piece.encode()) for index, piece in pieces.items()}
        return Borders(_between_strangers(pieces.values()), _by_index(unknown | sizes), (SPACE,), "")
    if _is_over_bytes(backend) and _cuts_apart(backend, product(_AFTER, _RUNS, _BEFORE)):
        behind_words = _cuts_apart(backend, product(_WORDS[::2], (*_PUNCTUATION, "\n"), _REST))
        behind_lines = _cuts_apart(backend, product(_NEWLINES, _WORDS, _REST))
        # Each character of a piece stands for a byte.
        sizes = {index: len(piece) for piece, index in _vocabulary(backend).items()}
        return Borders(_between_parts(behind_words, behind_lines), _by_index(unknown | sizes), (), _OTHER_WHITE)
    return None


def _keeps_to_words(tokenizer: Tokenizer, added: Collection[str]) -> bool:
    """Return whether a tokenizer is BPE over text whose spaces are written as ``▁``, and no piece goes on behind one.

    Nor behind a newline, but for added tokens, which are taken out first: Gemma's runs of newlines.
    """
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    if not tokenizer.model.byte_fallback or tokenizer.model.ignore_merges:
        return False
    if _parts(tokenizer.normalizer, "normalizers") not in ([prepend, replace], [replace]):
        return False
    # Gemma cuts at spaces, none of which its normalizer leaves.
    if any(part.get("pattern") != {"String": " "} for part in _parts(tokenizer.pre_tokenizer, "pretokenizers")):
        return False
    vocabulary = _vocabulary(tokenizer)
    # Without a byte's piece, unknown characters would be joined across words.
    has_bytes = all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    behind_lines = (piece for piece in vocabulary if "\n" in piece and piece != "\n" and piece not in added)
    return has_bytes and not any(behind_lines) and not any(map(_SPANS_WORDS.search, vocabulary))


def _is_over_bytes(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer is BPE over bytes, and all that it does to a text before is known to us."""
    parts = _parts(tokenizer.pre_tokenizer, "pretokenizers")
    of_bytes = [part for part in parts if part["type"] == "ByteLevel"]
    known = all(part["type"] in ("ByteLevel", "Split", "Digits") for part in parts)
    if not known or len(of_bytes) != 1 or of_bytes[0]["add_prefix_space"]:
        return False
    # It puts accents and letters together, never over a space.
    return all(part["type"] == "NFC" for part in _parts(tokenizer.normalizer, "normalizers"))


def _cuts_apart(tokenizer: Tokenizer, texts: Iterable[tuple[str, str, str]]) -> bool:
    """Return whether texts are cut between their first and second part, and neither side is cut otherwise alone."""
    cut: Any = tokenizer.pre_tokenizer

    @cache
    def parts(text: str) -> list[str]:
        return [part for part, _ in cut.pre_tokenize_str(text)]

    return all(parts(left + right + rest) == parts(left) + parts(right + rest) for left, right, rest in texts)


def _is_plain(tokenizer: Tokenizer) -> bool:
    model: Any = tokenizer.model
    if not isinstance(model, BPE):
        return False
    return not any((model.dropout, model.continuing_subword_prefix, model.end_of_word_suffix))


def _parts(component: Any, name: str) -> list[dict[str, Any]]:
    """Return the parts of a sequence in a tokenizer, as its file has them; of a part alone that one."""

    def flat(content: dict[str, Any]) -> list[dict[str, Any]]:
        return [inner for part in content[name] for inner in flat(part)] if name in content else [content]

    return [] if component is None else flat(json.loads(component.__getstate__()))


def _vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    return tokenizer.get_vocab(with_added_tokens=False)


def _is_byte(piece: str) -> bool:
    return len(piece) == len("<0x00>") and piece.startswith("<0x") and piece.endswith(">")


def _by_index(values: dict[int, int]) -> NDArray[np.int64]:
    result = np.zeros(max(values) + 1, np.int64)
    result[list(values)] = list(values.values())
    return result


def _between_strangers(pieces: Iterable[str]) -> WordStarts:
    """Return what finds words in text whose words begin between two characters that no piece has side by side.

    BPE joins neighbours to pieces of the vocabulary: what stands on one side of such a place changes nothing on the
    other. Characters are told apart by the last byte of the first and the first byte of the second.
    """
    # No text has the byte between the pieces.
    content = np.frombuffer(b"\xff".join(piece.encode() for piece in pieces), np.uint8)
    is_border = np.ones((256, 256), bool)
    is_border[content[:-1], content[1:]] = False
    is_border[:, 0x80:0xC0] = False  # inside a character
    by_pair = is_border.reshape(-1)

    def starts(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        is_start = np.zeros(len(data) + 1, bool)
        is_start[1:-1] = by_pair[(data[:-1].astype(np.uint16) << 8) | data[1:]]
        is_start[row_starts] = True
        return is_start

    return starts


def _between_parts(behind_words: bool, behind_lines: bool) -> WordStarts:
    """Return what finds words in text that is cut by a regular expression.

    Words begin before each run of spaces between two characters that are not white; before punctuation and newlines
    behind a letter or digit (``behind_words``); at a letter or digit behind a newline (``behind_lines``).
    """
    is_newline = np.arange(256) == _NEWLINE
    is_mark = is_newline | np.isin(np.arange(256), list(map(ord, _PUNCTUATION)))
    may_be_word = np.isin(np.arange(256), list(map(ord, string.ascii_letters + string.digits)))
    may_be_word[_FIRST_BEYOND_ASCII:] = True

    def starts(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        is_start = np.zeros(len(data) + 1, bool)
        is_start[_runs_of_spaces(data, row_starts)] = True
        of_word = may_be_word[data]
        if behind_words:
            places = np.flatnonzero(is_mark[data[1:]] & of_word[:-1]) + 1
            is_start[places[_ends_a_letter(data, places)]] = True
        if behind_lines:
            places = np.flatnonzero(is_newline[data[:-1]] & of_word[1:]) + 1
            is_start[places[_begins_a_letter(data, places)]] = True
        is_start[row_starts] = True
        return is_start

    return starts


def _runs_of_spaces(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the runs of spaces begin that stand between two characters of a text that are not white."""
    is_space = np.zeros(len(data) + 2, bool)
    is_space[1:-1] = data == _BLANK
    changes = np.flatnonzero(is_space[1:] != is_space[:-1])
    begins, ends = changes[::2], changes[1::2]
    # A run that a text begins or ends in.
    index = np.searchsorted(begins, row_starts) - 1
    index = index[(index >= 0) & (row_starts <= ends[index])] if len(begins) else index[:0]
    is_inside = np.ones(len(begins), bool)
    is_inside[index] = False
    begins, ends = begins[is_inside], ends[is_inside]
    inside: NDArray[np.int64] = begins[(data[begins - 1] != _NEWLINE) & (data[ends] != _NEWLINE)]
    return inside


def _ends_a_letter(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for places behind a character, ASCII's letters and digits or beyond ASCII, whether it is a letter."""
    result = data[places - 1] < _FIRST_BEYOND_ASCII
    beyond = np.flatnonzero(~result)
    # Of two bytes, of three; the bytes within a character begin none.
    last = places[beyond]
    of_two = _letters()[data[last - 2], data[last - 1]]
    result[beyond] = of_two | _letters()[data[np.maximum(last - 3, 0)], data[last - 2]]
    return result


def _begins_a_letter(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the same for places before a character."""
    result = data[places] < _FIRST_BEYOND_ASCII
    beyond = np.flatnonzero(~result)
    result[beyond] = _letters()[data[places[beyond]], data[places[beyond] + 1]]
    return result


@lru_cache(maxsize=1)
def _letters() -> NDArray[np.bool_]:
    """Return for the first two bytes of characters in UTF-8 whether all characters that begin so are letters."""
    categories = map(unicodedata.category, map(chr, range(0x10000)))
    is_letter = np.fromiter((category.startswith("L") for category in categories), bool, 0x10000)
    result = np.zeros((256, 256), bool)
    of_two = np.arange(0x80, 0x800)
    result[0xC0 | of_two >> 6, 0x80 | of_two & 0x3F] = is_letter[of_two]
    of_three = np.arange(0x800, 0x10000, 64)
    are_letters: NDArray[np.bool_] = np.all(is_letter.reshape(-1, 64), axis=1)
    result[0xE0 | of_three >> 12, 0x80 | of_three >> 6 & 0x3F] = are_letters[of_three >> 6]
    return result
