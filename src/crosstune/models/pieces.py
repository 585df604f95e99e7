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


def refuse_other_pieces(
    tokenizer: PreTrainedTokenizerBase, own: PreTrainedTokenizerBase, names: tuple[str, str], num_pieces: int
) -> None:
    """Check that a model knows the pieces of a tokenizer by the same numbers: else its rows stand for other words.

    Tokens that were added to either vocabulary may differ: chat models give reserved ones other names.

    Args:
        tokenizer: that of the system.
        own: the one that lies beside the model.
        names: of model and tokenizer, for messages.
        num_pieces: of the tokenizer, those that the model was made for; rows of the others it is to get.

    Raises:
        BadInputError: with how many pieces have other numbers.
    """
    added = {token.content for one in (tokenizer, own) for token in one.added_tokens_decoder.values()}
    theirs = own.get_vocab()
    pieces = {piece: index for piece, index in tokenizer.get_vocab().items() if index < num_pieces}
    others = [piece for piece, index in pieces.items() if theirs.get(piece) != index and piece not in added]
    if others:
        first = min(others, key=pieces.__getitem__)
        there = f"{theirs[first]:,}" if first in theirs else "no piece"
        raise BadInputError(
            f"{len(others):,} of {len(pieces):,} pieces of the tokenizer {names[1]} have other numbers in that "
            f"of {names[0]}, or none: {first!r} is {pieces[first]:,}, and there {there}. The model would read and "
            "write others. All systems of a recipe share `tokenizer.base` and its extension: set it to the model's own "
            "tokenizer; score models of other tokenizers in recipes of their own, or by `crosstune score`"
        )


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
