"""A given tokenizer as transformers loads it: what it adds is read; where ours would be another, it is refused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.models.ends_of_texts import refuse_an_end_behind_each_text
from crosstune.tokenizer.folder import ROLES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REMEDY = "Load it once with AutoTokenizer and save it with `save_pretrained`, then give that folder"


def with_added_tokens(folder: Path, content: dict[str, Any], setting: str) -> dict[str, Any]:
    """Return a converted .model file with the tokens that its folder's other files add, as transformers has them.

    Where some are added, it is transformers' own conversion but for the order of merges: how text is cut around such a
    token differs from one conversion to another (a space that is put before it, a token that is found at the start of a
    text only), and chat templates are full of them.

    Raises:
        BadInputError: when transformers cannot load the folder.
    """
    theirs = _load(folder, setting)
    known = {token["content"] for token in content["added_tokens"]} | content["model"]["vocab"].keys()
    if {token.content for token in theirs.added_tokens_decoder.values()} <= known:
        return content
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise BadInputError(
            f"{setting}: the tokens that {folder} adds to tokenizer.model are known to transformers alone. {_REMEDY}"
        )
    converted: dict[str, Any] = json.loads(backend.to_str())
    # Their merges stand in the order of ids: LLaMA-2's runs of spaces come first there, and last in SentencePiece, so
    # that the word behind a line's indentation would lose its ▁.
    merges = content["model"]["merges"]
    return converted | {"model": converted["model"] | {"merges": merges}}


def roles_of(folder: Path, setting: str) -> dict[str, str]:
    """Return the roles of tokens that transformers takes where no file of a folder says them: its class's own.

    Raises:
        BadInputError: when transformers cannot load the folder.
    """
    theirs = _load(folder, setting)
    return {role: str(token) for role in ROLES if (token := getattr(theirs, role)) is not None}


def refuse_another(folder: Path, compiled: Tokenizer, configuration: dict[str, Any], setting: str) -> None:
    """Stop where transformers would load another tokenizer from the same folder than we do.

    Raises:
        BadInputError: with what differs: pieces, their number, roles of tokens, the chat template.
    """
    theirs = _load(folder, setting)
    ours = compiled.get_vocab()
    faults = []
    others = theirs.get_vocab()
    if len(theirs) != len(ours) or others != ours:
        moved = sorted(piece for piece in ours.keys() | others.keys() if ours.get(piece) != others.get(piece))
        faults.append(f"{len(theirs)} pieces instead of {len(ours)} ({', '.join(moved[:5])})")
    for role in ROLES:
        if getattr(theirs, role) != configuration.get(role):
            faults.append(f"{role} {getattr(theirs, role)!r} instead of {configuration.get(role)!r}")
    if isinstance(theirs.chat_template, str | None) and theirs.chat_template != configuration.get("chat_template"):
        faults.append("another chat template")
    if faults:
        raise BadInputError(
            f"{setting}: transformers loads {folder} as another tokenizer than its files say: {'; '.join(faults)}. "
            f"{_REMEDY}"
        )


def _load(folder: Path, setting: str) -> "PreTrainedTokenizerBase":
    # Imported here: who learns a tokenizer, or has one in a .model file, needs no transformers.
    from crosstune.models.folder import fault_of_texts
    from crosstune.models.transformers_tokenizer import of_folder

    try:
        loaded = of_folder(str(folder))
    # Each kind of tokenizer is read by code with exceptions of its own.
    except Exception as error:
        if fault := fault_of_texts(folder):
            raise BadInputError(
                f"{setting}: the tokenizer of {folder} cannot be read: {fault}. Copy it again from where it comes from"
            ) from None
        reason = " ".join(str(error).split())[:300]
        raise BadInputError(
            f"{setting}: transformers cannot load the tokenizer in {folder} ({type(error).__name__}: {reason}), so a "
            f"model could be trained with a different one. {_REMEDY}, with a release that can"
        ) from None
    refuse_an_end_behind_each_text(loaded, str(folder))
    return loaded
