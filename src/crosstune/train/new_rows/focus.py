"""Old pieces that are used like a new piece: FOCUS for an extended vocabulary.

Dobler and de Melo 2023, https://aclanthology.org/2023.emnlp-main.829: a new row is the mean of the rows of known
pieces, weighted by the sparsemax of their similarities in vectors learnt on text. There all pieces are new but those
shared; here old rows stay. There the vectors are fastText's; here they are factors of pointwise mutual information,
which skip-gram vectors approximate (Levy and Goldberg 2014) and which need no further library.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

_WINDOW = 5
_NUM_CONTEXTS = 4_000
_DIMENSIONS = 128
# A piece seen less often has a vector of chance.
_LEAST_OCCURRENCES = 5
_PIECES_AT_A_TIME = 1024


def similar_old_pieces(tokens: pa.Table, old_size: int, new_size: int, seed: int) -> Mapping[int, Mapping[int, float]]:
    """Return for each new piece that the text shows the most similar old pieces, with weights of sum 1."""
    ids = pc.list_flatten(tokens["tokens"]).to_numpy().astype(np.int64)
    lengths = pc.list_value_length(tokens["tokens"]).to_numpy()
    text = np.repeat(np.arange(len(lengths)), lengths)
    occurrences = np.bincount(ids, minlength=new_size)
    vectors = learn_vectors(ids, text, occurrences, seed)
    seen = np.flatnonzero(occurrences >= _LEAST_OCCURRENCES)
    old = torch.from_numpy(seen[seen < old_size])
    new = torch.from_numpy(seen[seen >= old_size])
    found: dict[int, dict[int, float]] = {}
    if not len(old):
        return found
    for some in torch.split(new, _PIECES_AT_A_TIME):
        weights = sparsemax(vectors[some] @ vectors[old].T)
        for piece, row in zip(some.tolist(), weights, strict=True):
            chosen = row.nonzero().squeeze(1)
            found[piece] = dict(zip(old[chosen].tolist(), row[chosen].tolist(), strict=True))
    return found


def learn_vectors(ids: np.ndarray, text: np.ndarray, occurrences: np.ndarray, seed: int) -> Tensor:
    """Return vectors of length 1, [pieces, dimensions], from which pieces stand near each other.

    The positive pointwise mutual information of pieces and the most frequent pieces around them, by its largest
    singular values (Levy, Goldberg and Dagan 2015, https://aclanthology.org/Q15-1016).

    ``ids`` are the pieces of all texts, one after the other, ``text`` is which text each of them belongs to (pieces of
    different texts are no neighbours), and ``occurrences`` counts each piece, [pieces].
    """
    size = len(occurrences)
    contexts = np.sort(np.argsort(-occurrences, kind="stable")[:_NUM_CONTEXTS])
    column = np.full(size, -1)
    column[contexts] = np.arange(len(contexts))
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for distance in range(1, _WINDOW + 1):
        near = text[:-distance] == text[distance:]
        left, right = ids[:-distance][near], ids[distance:][near]
        pairs = np.concatenate([left * len(contexts) + column[right], right * len(contexts) + column[left]])
        known = np.concatenate([column[right], column[left]]) >= 0
        keys, counts = _add_up(keys, counts, *np.unique(pairs[known], return_counts=True))
    rows, columns = keys // len(contexts), keys % len(contexts)
    of_row, of_column = np.bincount(rows, counts, minlength=size), np.bincount(columns, counts)
    information = np.log(counts * counts.sum() / (of_row[rows] * of_column[columns]))
    positive = information > 0
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([rows[positive], columns[positive]])),
        torch.from_numpy(information[positive]).float(),
        (size, len(contexts)),
        check_invariants=False,
    ).coalesce()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left_vectors, values, _ = torch.svd_lowrank(matrix, q=min(_DIMENSIONS, *matrix.shape), niter=4)
    # The root of the singular values, as in Levy et al., section 7.1: all of them would be led by frequency.
    return torch.nn.functional.normalize(left_vectors * values.sqrt(), dim=1)


def sparsemax(scores: Tensor) -> Tensor:
    """Return the nearest point of the simplex to each row of scores: weights of sum 1, most of them 0.

    Martins and Astudillo 2016, https://arxiv.org/abs/1602.02068, algorithm 1.
    """
    ordered = scores.sort(dim=-1, descending=True).values
    ranks = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)
    sums = ordered.cumsum(dim=-1)
    support = (1 + ranks * ordered > sums).sum(dim=-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (scores - threshold).clamp(min=0)


def _add_up(
    keys: np.ndarray, counts: np.ndarray, more_keys: np.ndarray, more_counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    both, inverse = np.unique(np.concatenate([keys, more_keys]), return_inverse=True)
    return both, np.bincount(inverse, np.concatenate([counts, more_counts])).astype(np.int64)
