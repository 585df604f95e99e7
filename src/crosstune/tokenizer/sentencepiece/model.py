"""Turn a SentencePiece BPE ``.model`` such as LLaMA-2's into an equal fast tokenizer."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import Merge
from crosstune.tokenizer.learn_base import sentencepiece_layout
from crosstune.tokenizer.sentencepiece import file as sentencepiece_file
from crosstune.tokenizer.sentencepiece.file import (
    BPE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    SentencePieceModel,
)

_PROBES = (
    "Hello world",
    " one leading space",
    "  two leading  and\n\n many    inner spaces \t",
    "12345 3.14 don't LG전자",
    "안녕하세요, 오늘은 날씨가 좋네요. ㅋㅋㅋㅋㅋ 뷁",
    "日本語 русский عربى 👍🏽 café naïve",
    "### Instruction:\n다음 문장은 긍정일까요 부정일까요?\n### Response:\n",
)


def convert(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the content of an equal ``tokenizer.json``, and its special tokens by role.

    transformers ranks merges by id, which differs from SentencePiece where the order of scores does (LLaMA-2's runs of
    spaces have the lowest score and the first ids). Here they are ranked by score, and compared on texts.

    Raises:
        BadInputError: when it is no SentencePiece model, or one whose cuts a BPE tokenizer.json cannot repeat.
    """
    source = sentencepiece_file.read(path)
    _refuse_unsuitable(source, path)
    texts = [piece.text for piece in source.pieces]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": texts[source.special_ids["unk_token"]],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {text: index for index, text in enumerate(texts)},
        "merges": [list(merge) for merge in merges_by_score(source.pieces)],
    }
    special = [(index, piece.text) for index, piece in enumerate(source.pieces) if piece.kind in (UNKNOWN, CONTROL)]
    roles = {role: texts[index] for role, index in source.special_ids.items() if index >= 0}
    bos = (roles["bos_token"], source.special_ids["bos_token"]) if "bos_token" in roles else None
    return sentencepiece_layout(model, special, bos, source.add_dummy_prefix), roles


def refuse_unequal(path: Path, tokenizer: Tokenizer) -> None:
    """Check that a converted tokenizer cuts probes, and random strings of its own pieces, as the ``.model`` does.

    Raises:
        BadInputError: with the first text that is cut differently.
    """
    reference = SentencePieceProcessor(model_file=str(path))
    draw = random.Random(0)
    # Bytes and control pieces are not text; the rest spells texts that merge in unforeseen ways.
    candidates = [
        reference.id_to_piece(index).replace("▁", " ")
        for index in range(reference.get_piece_size())
        if not (reference.is_byte(index) or reference.is_control(index) or reference.is_unknown(index))
    ]
    texts = [*_PROBES, *("".join(draw.choices(candidates, k=12)) for _ in range(500))]
    for text, encoding in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
        if encoding.ids != reference.encode(text):
            ours, theirs = _from_first_difference(encoding.tokens, reference.encode(text, out_type=str))
            raise BadInputError(
                f"{path} cannot be converted to a fast tokenizer: the conversion cuts {text!r} into ... {ours} ... and "
                f"SentencePiece into ... {theirs} .... {_ties(path)}Give a folder with the "
                "model's own tokenizer.json, or extend the base anew with `tokenizer.extension: {kind: learned}`."
            )


def _from_first_difference(ours: list[str], theirs: list[str]) -> tuple[list[str], list[str]]:
    first = next((index for index, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), 0)
    return ours[first : first + 4], theirs[first : first + 4]


def _ties(path: Path) -> str:
    scores = Counter(piece.score for piece in sentencepiece_file.read(path).pieces if piece.kind == NORMAL)
    score, count = scores.most_common(1)[0]
    if count == 1:
        return ""
    return (
        f"{count:,} of its pieces have the same score, {score + 0.0:g}: SentencePiece joins the leftmost pair of them "
        "first, which no list of merges can repeat. "
    )


def merges_by_score(pieces: Sequence[Piece]) -> list[Merge]:
    """Return every way to join two pieces into a third, the piece with the highest score first."""
    rank = {piece.text: (-piece.score, index) for index, piece in enumerate(pieces) if piece.kind == NORMAL}
    found: list[Merge] = []
    for piece in sorted(rank, key=rank.__getitem__):
        splits = ((piece[:end], piece[end:]) for end in range(1, len(piece)))
        found.extend(sorted((left, right) for left, right in splits if left in rank and right in rank))
    return found


def _refuse_unsuitable(source: SentencePieceModel, path: Path) -> None:
    reasons = (
        (source.model_type != BPE, "it is not BPE (Unigram cannot be extended: no merges)"),
        (not source.byte_fallback, "it has no byte fallback, so unknown characters are lost"),
        (source.rewrites_text, f"it rewrites text ({source.normalizer})"),
        (source.remove_extra_whitespaces, "it removes spaces"),
        (source.treat_whitespace_as_suffix, "it puts ▁ at the end of words"),
        (any(piece.kind == USER_DEFINED for piece in source.pieces), "it has user-defined pieces"),
    )
    found = [reason for holds, reason in reasons if holds]
    if found:
        raise BadInputError(
            f"{path} cannot be converted: {'; '.join(found)}. A SentencePiece BPE with byte fallback that "
            "leaves text as it is (LLaMA-2's) can be converted: for others, give a folder with the model's own "
            "tokenizer.json."
        )
