"""The tokenizer of a GGUF file, with its special tokens and chat template; refused where its cuts are not known.

Built here: transformers cuts SmolLM's digits together, leaves out Qwen's composition and Llama 3's whole words, and
adds a piece to the latter, each of which gives a model other tokens than it learnt.
"""

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.models.finite import named
from crosstune.models.gguf.header import Header, read_header

_BYTE_LEVEL = "gpt2"
_CONTROL, _USER_DEFINED = 3, 4


@dataclass(frozen=True)
class _Cuts:
    """How text is parted before merges, beyond GPT-2's way.

    Attributes:
        digits_apart: each digit is a word.
        split: the name of transformers' pattern for words, in the place of GPT-2's.
        composed: characters are composed first (NFC).
        whole_words: a word that is a piece is taken whole, whatever the merges.
        begins_with_bos: where a file does not say it: files of Llama 3 do not, and llama.cpp puts BOS before each text.
    """

    digits_apart: bool = False
    split: str = ""
    composed: bool = False
    whole_words: bool = False
    begins_with_bos: bool = False


# By tokenizer.ggml.pre; of kin in https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp, those whose
# text was compared with that of a published tokenizer.json, and those of the same patterns.
_CUTS = {
    "gpt-2": _Cuts(),
    "olmo": _Cuts(),
    "smollm": _Cuts(digits_apart=True),
    "starcoder": _Cuts(digits_apart=True),
    "llama-bpe": _Cuts(split="llama-bpe", whole_words=True, begins_with_bos=True),
    "qwen2": _Cuts(split="qwen2", composed=True),
}
_ROLES = {"unk_token": "unknown", "bos_token": "bos", "eos_token": "eos", "pad_token": "padding"}
_REMEDY = "Give the model's own tokenizer folder (tokenizer.json and tokenizer_config.json) as tokenizer.base.path"


def load(path: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a file.

    Raises:
        BadInputError: when the file holds none, or one that would come out otherwise than the model knows it.
    """
    header = read_header(path)
    _refuse_unknown(path, header)
    cuts = _CUTS[header.settings["tokenizer.ggml.pre"]]
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_backend(path, header),
        **_roles(header),
        add_bos_token=bool(header.settings.get("tokenizer.ggml.add_bos_token", cuts.begins_with_bos)),
        clean_up_tokenization_spaces=False,
        model_max_length=_longest(header),
    )
    tokenizer.chat_template = header.settings.get("tokenizer.chat_template")
    tokenizer.name_or_path = path
    _refuse_other_pieces(path, header, tokenizer)
    return tokenizer


def _backend(path: str, header: Header) -> Tokenizer:
    settings, cuts = header.settings, _CUTS[header.settings["tokenizer.ggml.pre"]]
    tokens, kinds = settings["tokenizer.ggml.tokens"], settings.get("tokenizer.ggml.token_type") or []
    merges = [tuple(merge.split(" ", 1)) for merge in settings.get("tokenizer.ggml.merges") or []]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    try:
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=cuts.whole_words))
    # tokenizers raises plain Exception for merges of pieces that are not there.
    except Exception as error:
        raise BadInputError(f"the tokenizer of {path} cannot be used: {error}. {_REMEDY}") from None
    if cuts.composed:
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = _pre_tokenizer(cuts)
    backend.decoder = decoders.ByteLevel()
    for kind, special in ((_CONTROL, True), (_USER_DEFINED, False)):
        added = [token for token, found in zip(tokens, kinds, strict=False) if found == kind]
        backend.add_tokens([AddedToken(token, normalized=False, special=special) for token in added])
    return backend


def _pre_tokenizer(cuts: _Cuts) -> Any:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    parts: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if cuts.digits_apart else []
    if cuts.split:
        pattern = Regex(GGUF_PRE_TOKENIZER_SPLITS[cuts.split])
        parts.append(pre_tokenizers.Split(pattern, behavior="isolated"))
    parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not cuts.split))
    return pre_tokenizers.Sequence(parts)


def content_of(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what ``tokenizer.json`` and ``tokenizer_config.json`` of a file's tokenizer would say.

    Raises:
        BadInputError: as `load` does.
    """
    tokenizer = load(path)
    header = read_header(path)
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    template = {"chat_template": tokenizer.chat_template} if tokenizer.chat_template else {}
    length = {"model_max_length": _longest(header)}
    return content, {**_roles(header), **length, **template}


def _longest(header: Header) -> int:
    return int(header.of_architecture().get("context_length", 0)) or int(1e30)


def _roles(header: Header) -> dict[str, str]:
    tokens = header.settings["tokenizer.ggml.tokens"]
    ids = {role: header.settings.get(f"tokenizer.ggml.{key}_token_id") for role, key in _ROLES.items()}
    return {role: tokens[index] for role, index in ids.items() if index is not None and index < len(tokens)}


def _refuse_unknown(path: str, header: Header) -> None:
    kind, cut = header.settings.get("tokenizer.ggml.model"), header.settings.get("tokenizer.ggml.pre")
    fault = ""
    if not header.settings.get("tokenizer.ggml.tokens"):
        fault = "it holds no tokenizer"
    elif kind != _BYTE_LEVEL:
        fault = f"its tokenizer is of kind {kind!r} (tokenizer.ggml.model); read from GGUF is {_BYTE_LEVEL!r}"
    elif cut not in _CUTS:
        fault = (
            f"it says that text is cut as {cut!r} (tokenizer.ggml.pre), which is not known here, so that words could "
            f"come out in other pieces than the model learnt. Known are {', '.join(_CUTS)}"
        )
    elif header.settings.get("tokenizer.ggml.add_eos_token"):
        fault = "it ends every text with EOS (tokenizer.ggml.add_eos_token), so that no prompt could be continued"
    if fault:
        raise BadInputError(f"the tokenizer of {path} cannot be used: {fault}. {_REMEDY}")


def _refuse_other_pieces(path: str, header: Header, tokenizer: PreTrainedTokenizerFast) -> None:
    """Stop where a piece has another number than in the file, whose rows the model's matrix has."""
    tokens = header.settings["tokenizer.ggml.tokens"]
    found = tokenizer.convert_ids_to_tokens([*range(len(tokens))])
    moved = [token for token, other in zip(tokens, found, strict=True) if token != other]
    if moved or len(tokenizer) != len(tokens):
        raise BadInputError(
            f"the tokenizer of {path} cannot be used: it lists {len(tokens):,} pieces, and {len(moved)} of them would "
            f"get another number, or {len(tokenizer):,} would come of them ({named(moved)}). {_REMEDY}"
        )
