"""What users write is text: no control token is read out of it, whatever it looks like."""

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase

from crosstune.models.chat_template import control_tokens
from crosstune.prompts.controls import as_text
from crosstune.tokens.encode import encode_text


def encode_rendered(
    tokenizer: PreTrainedTokenizerBase, render: Callable[[Sequence[str]], str], texts: Sequence[str]
) -> list[int]:
    """Return the tokens of what a chat template renders around users' texts.

    BOS is a token of its own where the template writes it. A control token's text in a user's text is cut as ordinary
    text: it ends no turn and begins none.
    """
    controls = control_tokens(tokenizer)
    rendered = render([as_text(text, controls) for text in texts])
    bos = tokenizer.bos_token
    if bos and rendered.startswith(str(bos)):
        rest = rendered.removeprefix(str(bos))
        return [int(tokenizer.bos_token_id), *encode_text(tokenizer, rest, with_controls=True)]
    return encode_text(tokenizer, rendered, with_controls=True)
