"""Forms of a tokenizer that cut text as it does, but read no control token out of it."""

import json
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from crosstune.models.chat_template import control_tokens
from crosstune.prompts.controls import SIGN, without_marks

# Texts that nobody has cleaned may hold our signs.
_UNGUESSABLE = secrets.token_hex(16)
_BYTE = re.compile("<0x[0-9A-F]{2}>")


@lru_cache(maxsize=4)
def plain(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return a tokenizer that knows no control token: what looks like one is cut as any other text."""
    controls, backend = control_tokens(tokenizer), tokenizer.backend_tokenizer
    model: Any = backend.model
    if len(controls) == len(tokenizer.added_tokens_decoder) and not any(map(_knows(model), controls)):
        # The model itself knows none of them: a large vocabulary is not read a second time.
        alone = Tokenizer(model)
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if getattr(backend, part) is not None:
                setattr(alone, part, getattr(backend, part))
        return alone
    content, is_known = content_of(tokenizer), _knows(model)
    # Tokens behind the vocabulary are numbered as they come: a control token keeps its place, by a name of ours.
    content["added_tokens"] = [
        {**token, "content": _hidden(token["content"], controls)}
        for token in content["added_tokens"]
        if token["content"] not in controls or not is_known(token["content"])
    ]
    return Tokenizer.from_str(json.dumps(content))


def _knows(model: Any) -> Callable[[str], bool]:
    return lambda name: model.token_to_id(name) is not None


def encode_marked(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the tokens of what a chat template wrote around texts whose control tokens are marked as text."""
    controls, signs = control_tokens(tokenizer), _by_signs(tokenizer)
    for name in sorted(controls, key=len, reverse=True):
        text = text.replace(name, _sign(controls[name]))
    added = {index: str(token.content) for index, token in tokenizer.added_tokens_decoder.items()}
    known = {signs.token_to_id(_sign(index) if name in controls else name): index for index, name in added.items()}
    return [known.get(token, token) for token in signs.encode(without_marks(text), add_special_tokens=False).ids]


@lru_cache(maxsize=4)
def _by_signs(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return a tokenizer that knows its control tokens by signs that no cleaned text holds."""
    content, controls = content_of(tokenizer), control_tokens(tokenizer)
    for token in content["added_tokens"]:
        if token["content"] in controls:
            token["content"] = _sign(token["id"])
    # It may name a control token by its text, and is not used.
    return Tokenizer.from_str(json.dumps(content | {"post_processor": None}))


def _sign(index: int) -> str:
    return f"{SIGN}{index}{SIGN}"


def content_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return a tokenizer's content, less what an earlier call may have left, and less ways to a control token in text.

    A vocabulary may hold control tokens, too. Merges lead to them in no tokenizer that we know; some models, however,
    look up whole words, and find them.
    """
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    content |= {"truncation": None, "padding": None}
    model = content["model"]
    # The pieces of single bytes are looked up by their names, which no text is joined to.
    controls = {name: index for name, index in control_tokens(tokenizer).items() if not _BYTE.fullmatch(name)}
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {_hidden(name, controls): index for name, index in vocabulary.items()}
    else:
        model["vocab"] = [[_hidden(name, controls), score] for name, score in vocabulary]
    if model.get("unk_token"):
        model["unk_token"] = _hidden(model["unk_token"], controls)
    if model.get("merges"):
        pairs = (merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"])
        model["merges"] = [pair for pair in pairs if "".join(pair) not in controls and not controls.keys() & set(pair)]
    return content


def _hidden(name: str, controls: dict[str, int]) -> str:
    return f"{SIGN}{_UNGUESSABLE}{name}{SIGN}" if name in controls else name
