"""Put new pieces and merges into the base's BPE model, and fill up to the size that was asked for."""

import re

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import BORDER, BpeTokenizer
from crosstune.tokenizer.learn import NewPieces

_PADDING = re.compile(r"<crosstune_pad_\d+>")


def extend(base: BpeTokenizer, new: NewPieces, num_new_pieces: int) -> BpeTokenizer:
    """Return the base with exactly so many more entries; old ids stay, and old merges come first.

    What the corpus did not give is filled with dummy pieces that no merge makes, so that the vocabulary and the model's
    matrices have the same size.
    """
    num_padding = num_new_pieces - len(new.pieces)
    padding = [f"<crosstune_pad_{index}>" for index in range(num_padding)]
    return base.with_pieces([*new.pieces, *padding], new.merges)


def padding_ids(extended: BpeTokenizer) -> list[int]:
    """Return the ids of the dummy pieces."""
    return sorted(index for piece, index in extended.pieces.items() if _PADDING.fullmatch(piece))


def new_pieces(base: BpeTokenizer, extended: BpeTokenizer) -> list[str]:
    """Return the pieces that the extended tokenizer adds, dummies included, in the order of their ids.

    Raises:
        BadInputError: when it is no extension of the base: an old piece moved or left, or a new one took an old id.
    """
    ids = extended.pieces
    moved = [piece for piece, index in base.pieces.items() if ids.get(piece) != index]
    added = sorted((index, piece) for piece, index in ids.items() if piece not in base.pieces)
    misplaced = [piece for position, (index, piece) in enumerate(added) if index != base.size + position]
    if moved or misplaced or not added:
        found = (
            f"{len(moved):,} of {len(base.pieces):,} old pieces moved or left (first: {moved[:3]})"
            if moved
            else f"{len(misplaced):,} of {len(added):,} new pieces are not in order from id {base.size} on"
        )
        raise BadInputError(
            f"the given tokenizer is not an extension of the base: {found}. Every old piece must keep its id, and new "
            f"ones must follow without gaps. Give a tokenizer that was extended from this base, or let "
            f"`tokenizer.extension: {{kind: learned}}` of a recipe make one."
        )
    return [piece for _, piece in added]


_REASONS = {
    "BPE": "its BPE has neither byte fallback with ▁ nor byte-level pieces, so that it loses unknown characters",
    "Unigram": "Unigram chooses among all cuts of a word by probability, so that new pieces change how old text is cut",
    "WordPiece": "WordPiece takes the longest piece first, so that new pieces change how old text is cut",
}


def refuse_unextendable(tokenizer: BpeTokenizer, setting: str) -> None:
    """Check that new pieces can be put into a tokenizer's model.

    Raises:
        BadInputError: with the reason, and what to do instead.
    """
    if tokenizer.style is None:
        reason = _REASONS.get(tokenizer.model_type, f"its model is {tokenizer.model_type}, which has no merges")
        raise BadInputError(
            f"{setting} cannot be extended: {reason}. Extension needs a BPE tokenizer: SentencePiece-style with "
            "byte fallback (LLaMA-2, Mistral) or byte-level (GPT-2, LLaMA-3, Qwen). Start from a model with such a "
            "tokenizer, or remove `tokenizer.extension` and let all systems use `tokenizer: base`."
        )
    normalizer = tokenizer.tokenizer.normalizer
    if normalizer and BORDER not in normalizer.normalize_str(f"{BORDER}a"):
        raise BadInputError(
            f"{setting} cannot be extended: its normalizer drops or rewrites a line break at the start of a text, and "
            "what stands behind one is how pieces inside a text are learnt and proved. Take `Strip` and the like out "
            "of the normalizer in tokenizer.json, or remove `tokenizer.extension` and let all systems use "
            "`tokenizer: base`."
        )
    num_pieces = len(set(tokenizer.pieces.values()))
    if num_pieces != tokenizer.size:
        raise BadInputError(
            f"{setting} cannot be extended: its highest id is {tokenizer.size - 1} and it has {num_pieces} "
            "pieces only: some ids have no piece, so vocabulary and matrix would not agree. Ids must run without "
            "gaps: add named dummy tokens at the free ids, save it, and give that folder."
        )
