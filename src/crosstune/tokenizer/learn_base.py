"""Learn a tokenizer for a model from scratch: SentencePiece-style BPE with byte fallback, laid out like LLaMA-2's."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.tokenizer.bpe import BYTE_PIECES, METASPACE, Merge
from crosstune.tokenizer.merges import learn_merges

SPECIAL_PIECES = ("<unk>", "<s>", "</s>")
# SentencePiece's default: rarer characters are written in bytes.
_COVERAGE = 0.9995
_ALWAYS = [chr(code) for code in range(0x21, 0x7F)]


def learn_base(texts: Iterable[str], num_pieces: int, *target_languages: str) -> dict[str, Any]:
    """Return the content of a ``tokenizer.json`` with exactly so many pieces.

    Words are runs of letters of one script, or of punctuation, with at most one space before them; digits stand alone.

    Raises:
        BadInputError: when the texts do not hold that many pieces, or their characters need more.
    """
    own = [characters.letters_of(code) for code in target_languages]
    letters, runs = "".join(own), "|".join(f"[{letters}]+" for letters in own)
    # After a space, any run takes it along; target letters and others never share a piece. A lone space is no word.
    words = characters.count_words(
        (f" {text}" for text in texts), rf"(?:(?<! ) )?(?:{runs}|(?:(?![{letters}])[^\W\d_])+|(?:[^\w\s]|_)+)|\d"
    )
    alphabet = _alphabet(words)
    num_merged = num_pieces - len(SPECIAL_PIECES) - len(BYTE_PIECES) - len(alphabet)
    if num_merged < 0:
        raise BadInputError(
            f"tokenizer.base.num_pieces: {num_pieces} is too small: {len(SPECIAL_PIECES)} special pieces, 256 bytes "
            f"and {len(alphabet)} characters need {num_pieces - num_merged}: set at least that many."
        )
    merges = _merges(words, set(alphabet), num_merged)
    merged = list(dict.fromkeys(left + right for left, right in merges))
    if len(merged) < num_merged:
        raise BadInputError(
            f"tokenizer.base.num_pieces: {num_pieces} is too large: the mixture gives only "
            f"{num_pieces - num_merged + len(merged)}: every other pair of pieces occurs less than twice. "
            "Set at most that many, or add text to the mixture."
        )
    return _content([*SPECIAL_PIECES, *BYTE_PIECES, *merged, *alphabet], merges)


def _alphabet(words: Counter[str]) -> list[str]:
    counts = characters.count_characters(words)
    del counts[" "], counts[METASPACE]
    return [METASPACE, *sorted({*_ALWAYS, *characters.covering(counts, _COVERAGE)})]


def _merges(words: Counter[str], alphabet: set[str], num_merged: int) -> list[Merge]:
    """Learn merges from the words' parts that the alphabet can spell."""
    parts: Counter[tuple[str, ...]] = Counter()
    for word, count in words.items():
        spelt = "".join(
            character if character in alphabet else "\n"
            for character in word.replace(METASPACE, "\n").replace(" ", METASPACE)
        )
        for part in spelt.split("\n"):
            if len(part) > 1:
                parts[tuple(part)] += count
    return learn_merges(parts, num_merged) if parts and num_merged else []


def _content(pieces: list[str], merges: list[Merge]) -> dict[str, Any]:
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": SPECIAL_PIECES[0],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {piece: index for index, piece in enumerate(pieces)},
        "merges": [list(merge) for merge in merges],
    }
    return sentencepiece_layout(
        model, list(enumerate(SPECIAL_PIECES)), bos=(SPECIAL_PIECES[1], 1), add_dummy_prefix=True
    )


def sentencepiece_layout(
    model: dict[str, Any], special: list[tuple[int, str]], bos: tuple[str, int] | None, add_dummy_prefix: bool
) -> dict[str, Any]:
    """Return a ``tokenizer.json`` that treats spaces as SentencePiece does: each is ▁, and one stands before the text.

    Text around special tokens included, decoding gives back every space, which transformers' own LLaMA layout does not:
    it puts no ▁ before a text that begins with a space.
    """
    prepend = [{"type": "Prepend", "prepend": METASPACE}] if add_dummy_prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if add_dummy_prefix else []
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": METASPACE}
    back = {"type": "Replace", "pattern": {"String": METASPACE}, "content": " "}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": piece,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, piece in special
        ],
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, replace]},
        "pre_tokenizer": None,
        "post_processor": bos_template(*bos) if bos else None,
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]},
        "model": model,
    }


def bos_template(token: str, index: int) -> dict[str, Any]:
    """Return the post-processor that puts BOS before a text when special tokens are asked for."""

    def part(kind: str, name: str, sequence: int) -> dict[str, Any]:
        return {kind: {"id": name, "type_id": sequence}}

    first = [part("SpecialToken", token, 0), part("Sequence", "A", 0)]
    second = [part("SpecialToken", token, 1), part("Sequence", "B", 1)]
    return {
        "type": "TemplateProcessing",
        "single": first,
        "pair": [*first, *second],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }
