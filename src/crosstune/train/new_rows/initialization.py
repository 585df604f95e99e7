"""Which old rows each new row starts from: by its own spelling, by similar pieces, or by its translations."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.recipe import NewRows
from crosstune.train.new_rows.focus import similar_old_pieces
from crosstune.train.new_rows.rows import RowSource, Subwords
from crosstune.train.new_rows.word_alignment import learn_dictionary

Weights = Mapping[int, float]
"""Old ids and their weights, with sum 1."""


def find_sources(
    tokenizer: PreTrainedTokenizerBase,
    subwords: Subwords,
    settings: NewRows,
    tokens: pa.Table | None,
    targets: Sequence[str],
    seed: int,
) -> tuple[RowSource, ...]:
    """Return for each new piece what its rows start from.

    Padding starts at the mean of all, where it neither wins nor hurts. A piece for which ``focus`` or ``aligned`` finds
    no evidence starts as the mean of its subwords.

    ``tokens`` are those of ``settings.mixture`` under the extended tokenizer, as `mixture_tokens` gives them;
    ``targets`` are the languages that are learned; the seed is for the vectors of ``focus``.

    Raises:
        BadInputError: when ``aligned`` finds no translation into one of the languages in the mixture.
    """
    found = _evidence(subwords, settings, tokens, targets, seed)
    sources = []
    for new_id, ids in enumerate(subwords.subwords, subwords.old_size):
        if not ids:
            # With `random`, padding is drawn too: what is measured as control holds for every row.
            sources.append(RowSource("random" if settings.method == "random" else "padding"))
        elif settings.method == "random":
            sources.append(RowSource("random"))
        elif settings.method == "weighted":
            sources.append(RowSource("weighted", ids, _shares([_num_bytes(tokenizer, old) for old in ids])))
        elif new_id in found:
            sources.append(RowSource(settings.method, tuple(found[new_id]), tuple(found[new_id].values())))
        else:
            sources.append(RowSource("mean_of_subwords", ids))
    return tuple(sources)


def _evidence(
    subwords: Subwords, settings: NewRows, tokens: pa.Table | None, targets: Sequence[str], seed: int
) -> Mapping[int, Weights]:
    if settings.method == "focus":
        assert tokens is not None
        return similar_old_pieces(tokens, subwords.old_size, subwords.new_size, seed)
    if settings.method == "aligned":
        assert tokens is not None
        dictionaries = {target: learn_dictionary(tokens, subwords.old_size, target) for target in targets}
        missing = [target for target, found in dictionaries.items() if not found]
        if missing:
            raise BadInputError(
                f"new_rows.mixture: {settings.mixture!r} holds no translation into {' and '.join(map(repr, missing))} "
                "with a new piece in it, so `method: aligned` has nothing to learn a dictionary from: name a mixture "
                f"of a parallel source whose `directions` end in -{' and in -'.join(missing)}, or another method"
            )
        return _joined(dictionaries.values())
    return {}


def _joined(dictionaries: Iterable[Mapping[int, Weights]]) -> Mapping[int, Weights]:
    """Return one dictionary of several; a piece of several languages starts from the mean of what each says."""
    entries: dict[int, list[Weights]] = {}
    for dictionary in dictionaries:
        for piece, weights in dictionary.items():
            entries.setdefault(piece, []).append(weights)
    return {
        piece: {
            old: sum(weights.get(old, 0.0) for weights in found) / len(found)
            for old in dict.fromkeys(old for weights in found for old in weights)
        }
        for piece, found in entries.items()
    }


def _shares(lengths: Sequence[int]) -> tuple[float, ...]:
    return tuple(length / sum(lengths) for length in lengths)


def _num_bytes(tokenizer: PreTrainedTokenizerBase, piece_id: int) -> int:
    """Return how much text an old piece spells, in UTF-8 bytes: three byte pieces weigh as much as their syllable."""
    piece = str(tokenizer.convert_ids_to_tokens(piece_id))
    if re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
        return 1
    if not tokenizer.backend_tokenizer.model.byte_fallback:
        # Byte-level BPE writes each byte as one character.
        return len(piece)
    return len(piece.replace("▁", " ").encode())
