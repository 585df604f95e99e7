"""What users write is text: no control token is read out of it, whatever it looks like."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from crosstune.models.chat_template import control_tokens
from crosstune.tokens.encode import encode_text

# Signs of Unicode's private planes that stand for control tokens: those of users' texts, and the template's own.
_OF_USERS, _OF_TEMPLATE = 0xF0000, 0x100000


def encode_rendered(
    tokenizer: PreTrainedTokenizerBase, render: Callable[[Sequence[str]], str], texts: Sequence[str]
) -> list[int]:
    """Return the tokens of what a chat template renders around users' texts.

    BOS is a token of its own where the template writes it. A control token's text in a user's text is cut as ordinary
    text: it ends no turn and begins none.
    """
    controls = control_tokens(tokenizer)
    found = [name for name in controls if any(name in text for text in texts)]
    if not found:
        return _encode(tokenizer, render(texts))
    # The longest first: one may be part of another.
    found.sort(key=len, reverse=True)
    hidden = list(texts)
    for index, name in enumerate(found):
        hidden = [text.replace(name, chr(_OF_USERS + index)) for text in hidden]
    rendered = render(hidden)
    renamed = _renamed(tokenizer)
    for name in sorted(controls, key=len, reverse=True):
        rendered = rendered.replace(name, chr(_OF_TEMPLATE + controls[name]))
    for index, name in enumerate(found):
        rendered = rendered.replace(chr(_OF_USERS + index), name)
    ids = renamed.encode(rendered, add_special_tokens=False).ids
    signs = {renamed.token_to_id(chr(_OF_TEMPLATE + index)): index for index in controls.values()}
    return [signs.get(token, token) for token in ids]


def _encode(tokenizer: PreTrainedTokenizerBase, rendered: str) -> list[int]:
    bos = tokenizer.bos_token
    if bos and rendered.startswith(str(bos)):
        return [int(tokenizer.bos_token_id), *encode_text(tokenizer, rendered.removeprefix(str(bos)))]
    return encode_text(tokenizer, rendered)


@lru_cache(maxsize=4)
def _renamed(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return a tokenizer that cuts text the same way, but knows its control tokens by signs that nobody writes."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    controls = control_tokens(tokenizer)
    for token in content["added_tokens"]:
        if token["content"] in controls:
            token["content"] = chr(_OF_TEMPLATE + token["id"])
    # It may name a control token by its text, and is not used.
    return Tokenizer.from_str(json.dumps(content | {"post_processor": None, "truncation": None, "padding": None}))
