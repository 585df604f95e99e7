"""Turn a SentencePiece BPE ``.model`` such as LLaMA-2's into an equal fast tokenizer."""

import random
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import Merge
from crosstune.tokenizer.learn_base import sentencepiece_layout

_BPE = 2
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
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
    proto = _read(path)
    _refuse_unsuitable(proto, path)
    pieces = [piece.piece for piece in proto.pieces]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": pieces[proto.trainer_spec.unk_id],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {piece: index for index, piece in enumerate(pieces)},
        "merges": [list(merge) for merge in _merges(proto)],
    }
    special = [(index, piece.piece) for index, piece in enumerate(proto.pieces) if piece.type in (_UNKNOWN, _CONTROL)]
    ids = {"unk_token": proto.trainer_spec.unk_id, "bos_token": proto.trainer_spec.bos_id}
    ids |= {"eos_token": proto.trainer_spec.eos_id, "pad_token": proto.trainer_spec.pad_id}
    roles = {role: pieces[index] for role, index in ids.items() if index >= 0}
    bos = (roles["bos_token"], ids["bos_token"]) if "bos_token" in roles else None
    content = sentencepiece_layout(model, special, bos, proto.normalizer_spec.add_dummy_prefix)
    return content, roles


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
            raise BadInputError(
                f"{path} was asked as a fast tokenizer, but the conversion cuts {text!r} into {encoding.tokens} and "
                f"SentencePiece into {reference.encode(text, out_type=str)}. Convert it with the model's own tools, "
                "save it as tokenizer.json, and give that folder."
            )


def _read(path: Path) -> Any:
    try:
        SentencePieceProcessor(model_file=str(path))
    except RuntimeError as error:
        raise BadInputError(
            f"{path} was asked as a SentencePiece model, but cannot be read as one ({error}). Give a tokenizer.model "
            "such as LLaMA-2's, or a folder with tokenizer.json."
        ) from None
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    return proto


def _refuse_unsuitable(proto: Any, path: Path) -> None:
    normalizer = proto.normalizer_spec
    found = [
        reason
        for holds, reason in (
            (proto.trainer_spec.model_type != _BPE, "it is not BPE (Unigram cannot be extended: no merges)"),
            (not proto.trainer_spec.byte_fallback, "it has no byte fallback, so unknown characters are lost"),
            (bool(normalizer.precompiled_charsmap), f"it rewrites text ({normalizer.name})"),
            (normalizer.remove_extra_whitespaces, "it removes spaces"),
            (proto.trainer_spec.treat_whitespace_as_suffix, "it puts ▁ at the end of words"),
            (any(piece.type == _USER_DEFINED for piece in proto.pieces), "it has user-defined pieces"),
        )
        if holds
    ]
    if found:
        raise BadInputError(
            f"{path} was asked as a tokenizer, but {'; '.join(found)}. A SentencePiece BPE with byte fallback that "
            "leaves text as it is (LLaMA-2's) can be converted: for others, give a folder with the model's own "
            "tokenizer.json."
        )


def _merges(proto: Any) -> list[Merge]:
    """Return every way to join two pieces into a third, the piece with the highest score first."""
    score = {piece.piece: (-piece.score, index) for index, piece in enumerate(proto.pieces) if piece.type == 1}
    found: list[Merge] = []
    for piece in sorted(score, key=score.__getitem__):
        splits = ((piece[:end], piece[end:]) for end in range(1, len(piece)))
        found.extend(sorted((left, right) for left, right in splits if left in score and right in score))
    return found
