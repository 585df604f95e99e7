"""Where tokenizers cut text whatever stands before and behind: borders that no piece crosses, of two kinds.

SentencePiece vocabularies whose pieces keep to words are cut before each run of spaces and around each newline. BPE
over bytes first cuts text by a regular expression. Whichever it is (GPT-2's, Llama 3's, Qwen's, o200k's), a part ends
where spaces stand between two characters that are not white; that a tokenizer does so is tried.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

from crosstune.prompts.controls import TEXT

SPACE = "▁"
_NEWLINE, _BLANK = ord("\n"), ord(" ")
# What is white beside the space and the newline: regular expressions treat a run of both kinds in ways of their own.
_OTHER_WHITE = "[\t\v\f\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_BORDER = re.compile("(?<=[^ \n]) +(?=[^ \n])")
# What words end and begin with, in the texts that a tokenizer over bytes is tried on.
_ENDS = (
    "a",
    "Z",
    "é",
    "n\u0303",
    "가",
    "中",
    "の",
    "ア",
    "9",
    "123",
    "٣",
    ".",
    "...",
    "'",
    "'s",
    ")",
    "$",
    "€",
    "😀",
    "\u200d",
    "_",
    "/",
)
_RUNS = (" ", "  ", "    ")

WordStarts = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Borders:
    """How a tokenizer's words are found.

    Attributes:
        starts: returns for each byte of texts that lie one behind the other, and the end, whether a word begins there.
        first_word: returns what of a text may belong to a word that began before it.
        last_word: returns a text that ends in the same word and has no other.
        apart: what no text may contain that is encoded by its words.
        white: a regular expression of characters that no such text may contain; empty for none.
        by_lines: whether words are tokenized as the lines of a text, where newlines are words of their own.
    """

    starts: WordStarts
    first_word: Callable[[str], str]
    last_word: Callable[[str], str]
    apart: tuple[str, ...]
    white: str
    by_lines: bool


def borders_of(tokenizer: PreTrainedTokenizerBase) -> Borders | None:
    """Return how words are found whose tokens, in order, are those of the text; None where there are no such words."""
    backend = tokenizer.backend_tokenizer
    added = (TEXT, *(token.content for token in tokenizer.added_tokens_decoder.values()))
    if _keeps_to_words(backend):
        return Borders(_starts_of_words, _first_word, _last_word, (SPACE, *added), "", by_lines=True)
    if _cuts_bytes_at_spaces(backend):
        return Borders(_starts_of_runs, _before_first_run, _from_last_run, added, _OTHER_WHITE, by_lines=False)
    return None


def _keeps_to_words(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer is plain BPE over text whose spaces are written as ``▁``, and no piece spans words."""
    if not _is_plain(tokenizer) or not tokenizer.model.byte_fallback or tokenizer.pre_tokenizer is not None:
        return False
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    normalizer: Any = tokenizer.normalizer
    if normalizer is None or tokenizer.model.ignore_merges:
        return False
    if json.loads(normalizer.__getstate__()).get("normalizers") not in ([prepend, replace], [replace]):
        return False
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    # Without a byte's piece, unknown characters would be joined across words.
    has_bytes = all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    crossing = (piece for piece in vocabulary if SPACE in piece.lstrip(SPACE) or ("\n" in piece and piece != "\n"))
    return has_bytes and next(crossing, None) is None


def _cuts_bytes_at_spaces(tokenizer: Tokenizer) -> bool:
    """Return whether BPE over bytes cuts text before each run of spaces between what is not white."""
    if not _is_plain(tokenizer) or tokenizer.pre_tokenizer is None:
        return False
    content = json.loads(tokenizer.to_str())
    parts = _parts(content["pre_tokenizer"], "pretokenizers")
    of_bytes = [part for part in parts if part["type"] == "ByteLevel"]
    known = all(part["type"] in ("ByteLevel", "Split", "Digits") for part in parts)
    if not known or len(of_bytes) != 1 or of_bytes[0]["add_prefix_space"]:
        return False
    # It puts accents and letters together, never over a space.
    if any(part["type"] != "NFC" for part in _parts(content["normalizer"], "normalizers")):
        return False
    cut: Any = tokenizer.pre_tokenizer
    for left, run, right in product(_ENDS, _RUNS, _ENDS):
        text = f"x{left}{run}{right}y"
        if len(f"x{left}") not in (start for _, (start, _) in cut.pre_tokenize_str(text)):
            return False
    return True


def _is_plain(tokenizer: Tokenizer) -> bool:
    model: Any = tokenizer.model
    if not isinstance(model, BPE):
        return False
    return not any((model.dropout, model.continuing_subword_prefix, model.end_of_word_suffix))


def _parts(content: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """Return the parts of a sequence in a tokenizer's file, of a part alone that one."""
    if content is None:
        return []
    return [inner for part in content[name] for inner in _parts(part, name)] if name in content else [content]


def _first_word(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" "))] + re.split("[ \n]", text.lstrip(" "), maxsplit=1)[0]


def _last_word(text: str) -> str:
    before = text[: max(text.rfind(" "), text.rfind("\n")) + 1].rstrip(" ")
    # Behind a newline, no space is put before the word.
    return "\n" + text[len(before) :] if before else text


def _starts_of_words(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where words begin: a newline is a word, and a run of spaces belongs to the word behind it."""
    is_newline, is_space = data == _NEWLINE, data == _BLANK
    is_start = np.zeros(len(data) + 1, bool)
    is_start[:-1] = is_newline | is_space
    is_start[1:-1] &= ~(is_space[:-1] & is_space[1:])
    is_start[1:] |= is_newline
    is_start[row_starts] = True
    return is_start


def _before_first_run(text: str) -> str:
    found = _BORDER.search(text)
    return text[: found.start()] if found else text


def _from_last_run(text: str) -> str:
    found = list(_BORDER.finditer(text))
    return text[found[-1].start() :] if found else text


def _starts_of_runs(data: NDArray[np.uint8], row_starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where words begin: before each run of spaces between two characters that are not white."""
    is_start = np.zeros(len(data) + 1, bool)
    is_start[row_starts] = True
    is_space = data == _BLANK
    is_white = is_space | (data == _NEWLINE)
    begins = np.flatnonzero(is_space[1:] & ~is_white[:-1]) + 1
    begins = begins[~is_start[begins]]
    # The end of each run: the first place behind it without a space.
    others = np.flatnonzero(~is_space)
    behind = np.append(others, len(data))[np.searchsorted(others, begins)]
    row_ends = row_starts[np.searchsorted(row_starts, begins, side="right")]
    inside = behind < row_ends
    begins, behind = begins[inside], behind[inside]
    is_start[begins[~is_white[behind]]] = True
    return is_start
