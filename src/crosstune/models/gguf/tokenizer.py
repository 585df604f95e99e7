"""The tokenizer of a GGUF file, with its special tokens and chat template; refused where its cuts are not known."""

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.models.finite import named
from crosstune.models.gguf.header import Header, read_header

_BYTE_LEVEL = "gpt2"
_CUTS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
# What transformers does not know by name, and would cut as GPT-2: digits stay together that the model saw apart.
# https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp (LLAMA_VOCAB_PRE_TYPE_SMOLLM and its kin)
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell")
_AS_GPT2 = ("gpt-2", "olmo", "phi-2")
_ROLES = {"unk_token": "unknown", "bos_token": "bos", "eos_token": "eos", "pad_token": "padding"}
_REMEDY = "Give the model's own tokenizer folder (tokenizer.json and tokenizer_config.json) as tokenizer.base.path"


def load(path: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a file.

    Raises:
        BadInputError: when the file holds none, or one that would come out otherwise than the model knows it.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer

    header = read_header(path)
    _refuse_unknown(path, header)
    architecture, content, _ = get_gguf_tokenizer(path)
    try:
        backend, _ = convert_gguf_tokenizer(architecture, content)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInputError(f"transformers cannot read the tokenizer of {path} ({reason}). {_REMEDY}") from None
    written = json.loads(backend.to_str())
    cut = str(header.settings.get("tokenizer.ggml.pre"))
    if cut in (*_DIGITS_APART, *_AS_GPT2):
        digits = [{"type": "Digits", "individual_digits": True}] if cut in _DIGITS_APART else []
        written["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*digits, _CUTS]}
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(written)),
        **_roles(header),
        add_bos_token=bool(header.settings.get("tokenizer.ggml.add_bos_token", False)),
        clean_up_tokenization_spaces=False,
        model_max_length=_longest(header),
    )
    tokenizer.chat_template = header.settings.get("tokenizer.chat_template")
    tokenizer.name_or_path = path
    _refuse_other_pieces(path, header, tokenizer)
    return tokenizer


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
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    kind, cut = header.settings.get("tokenizer.ggml.model"), header.settings.get("tokenizer.ggml.pre")
    known = sorted({*GGUF_PRE_TOKENIZER_SPLITS, *_DIGITS_APART, *_AS_GPT2})
    fault = ""
    if not header.settings.get("tokenizer.ggml.tokens"):
        fault = "it holds no tokenizer"
    elif kind != _BYTE_LEVEL:
        fault = f"its tokenizer is of kind {kind!r} (tokenizer.ggml.model); read from GGUF is {_BYTE_LEVEL!r}"
    elif cut not in known:
        fault = (
            f"it says that text is cut as {cut!r} (tokenizer.ggml.pre), which is not known here, so that words could "
            f"come out in other pieces than the model learnt. Known are {', '.join(known)}"
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
