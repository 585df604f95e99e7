"""What is wrong with a single text, or with a pair: damage, special tokens, mark-up, another language, odd lengths."""

import re

import regex

_LETTER_OR_DIGIT = regex.compile(r"[\p{L}\p{N}]")
_MARKUP = regex.compile(r"<[^<>]*>|&[a-zA-Z]+;|&#x?[0-9a-fA-F]+;|https?://\S+|\[/?\w+\]")
_IN_MARKUP = ("<", "&", "://", "[")
_SPECIAL_TOKEN = regex.compile(r"</?s>|<(?:unk|pad|bos|eos|start_of_turn|end_of_turn)>|<\|[\w-]+\|>")
# Written by the models that wrote the rows of Alpaca, Self-Instruct and KoAlpaca, where there is no input; compared
# without signs. In brackets a single word says it, too: <none>.
_NO_INPUT = regex.compile(
    r"no(in)?puts?(needed|required|provided|given|necessary)?|notapplicable|입력(값)?(이|은)?(필요)?(없음|없습니다|없다)"
)
_NOTHING = regex.compile(r"none|null|empty|blank|na|없음")
_NOT_AVAILABLE = regex.compile(r"n/a", regex.IGNORECASE)
_LONGEST_NO_INPUT = 40
_BRACKETED = regex.compile(r"<.*>|\[.*\]|\(.*\)|\{.*\}")
_SIGNS = regex.compile(r"[\W_]+")
_LATIN_1 = re.compile("[\u0080-\u00ff]")


def is_broken(text: str) -> bool:
    """Return whether characters were lost, or UTF-8 was once read as Windows-1252 ("ì•ˆë…•" for 안녕)."""
    if text.isascii():
        return False
    if "\ufffd" in text:
        return True
    if not _LATIN_1.search(text):
        return False
    try:
        # Real accents do not make valid UTF-8; damaged text, encoded back, does.
        return text.encode("cp1252").decode("utf-8") != text
    except UnicodeError:
        return False


def is_markup_only(text: str) -> bool:
    """Return whether nothing is left without tags, entities, addresses and signs."""
    bare = _MARKUP.sub(" ", text) if any(sign in text for sign in _IN_MARKUP) else text
    return not _LETTER_OR_DIGIT.search(bare)


def has_special_token(text: str) -> bool:
    """Return whether a tokenizer would read a part of the text as BOS, EOS or another special token.

    The names are those of LLaMA, Gemma and, between bars, of LLaMA-3, GPT and Qwen (``<|im_end|>``).
    """
    return "<" in text and _SPECIAL_TOKEN.search(text) is not None


def length_ratio(left: str, right: str) -> float:
    """Return how many times longer the longer text is, in characters."""
    short, long = sorted((len(left), len(right)))
    return long / max(1, short)


def says_no_input(text: str) -> bool:
    """Return whether an input only says that there is none: <noinput>, No input, 입력 없음, N/A, <none>."""
    if not text or len(text) > _LONGEST_NO_INPUT:
        return False
    said, letters = text.strip(" .`\"'"), _SIGNS.sub("", text).lower()
    return (
        _NO_INPUT.fullmatch(letters) is not None
        or _NOT_AVAILABLE.fullmatch(said) is not None
        or (_NOTHING.fullmatch(letters) is not None and _BRACKETED.fullmatch(said) is not None)
    )
