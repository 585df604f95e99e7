"""A tokenizer beside a matrix: which of its pieces have no row, and whether that can be."""

from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.chat_template import control_tokens
from crosstune.models.finite import named


def num_rows(model: PreTrainedModel) -> int:
    """Return how many pieces a model's input matrix has a row for."""
    embeddings: Any = model.get_input_embeddings()
    return int(embeddings.weight.shape[0])


def refuse_missing_rows(
    tokenizer: PreTrainedTokenizerBase, rows: int, names: tuple[str, str], num_extended: int | None = None
) -> None:
    """Check that a model has a row for every piece of a tokenizer that text is cut into.

    Published models lack rows for tokens that their texts never hold: Gemma 3 of 1B has none for its pictures' token,
    LLaMA 2 with a padding token none for that.

    Args:
        tokenizer: that of the system.
        rows: what the model has.
        names: of model and tokenizer, for messages.
        num_extended: where the model is to get rows, the pieces that it was made for; of these any token that was added
            to the vocabulary may lack a row, since it gets one.

    Raises:
        BadInputError: when others lack one: tokenizer and model do not belong together.
    """
    num_pieces = len(tokenizer) if num_extended is None else num_extended
    missing = {piece for piece, index in tokenizer.get_vocab().items() if rows <= index < num_pieces}
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    lacking = missing - (added if num_extended is not None else control_tokens(tokenizer).keys())
    if not lacking:
        return
    found = (
        f"the model {names[0]} has {rows} embedding rows, but the tokenizer {names[1]} has {num_pieces} pieces: "
        f"{named(lacking)} would have no row"
    )
    if lacking <= added:
        raise BadInputError(
            f"{found}, and texts may hold them. Add rows: model.resize_token_embeddings(len(tokenizer)), and save it"
        )
    raise BadInputError(f"{found}; they do not match. Set tokenizer.base to the model's own tokenizer")


def refuse_pieces_without_row(model: PreTrainedModel, rows: Iterable[Iterable[int]], where: str) -> None:
    """Check that a model has a row for each token; a GPU would stop in the midst of its work, without a reason.

    Raises:
        BadInputError: when it has not.
    """
    known = num_rows(model)
    largest = max((max(row, default=0) for row in rows), default=0)
    if largest >= known:
        raise BadInputError(
            f"{where}: a text holds the token {largest}, but the model has {known} embedding rows: it is a control "
            f"token without a row. Remove it from the text, or start from a model that has it"
        )
