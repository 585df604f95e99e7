"""Tokenizers that put a token behind each text: with them no text could be continued."""

from typing import TYPE_CHECKING

from crosstune.errors import BadInputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def refuse_an_end_behind_each_text(tokenizer: "PreTrainedTokenizerBase", path: str) -> None:
    """Check that a tokenizer ends no text by itself: behind a question, no answer could be scored or written.

    Raises:
        BadInputError: when it does.
    """
    alone, whole = (tokenizer.encode("a", add_special_tokens=with_special) for with_special in (False, True))
    if not alone or whole[-1] == alone[-1]:
        return
    raise BadInputError(
        f"the tokenizer of {path} ends every text with {tokenizer.convert_ids_to_tokens(whole[-1])!r}, so that no "
        "prompt could be continued. Set add_eos_token to false in its tokenizer_config.json, and remove the token "
        "behind the text from `post_processor` in its tokenizer.json"
    )
