"""Near duplicates: rows whose texts share most of their character n-grams, found by MinHash.

Broder 1997, "On the resemblance and containment of documents". The signatures come from rensa, which makes them in
Rust: 50,000 rows of 60 n-grams in 0.1 s.
"""

from collections.abc import Sequence

import numpy as np
from rensa import RMinHash

_NUM_PERMUTATIONS = 128
_ROWS_PER_BATCH = 4096
_NGRAM_CHARACTERS = 5
_SEED = 1


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """Return, for each text that is nearly the same as an earlier one that is kept, the index of that one.

    ``threshold`` is the Jaccard similarity of the sets of 5-character n-grams, as 128 hash functions estimate it: their
    standard error at 0.8 is 0.035.
    """
    num_bands, rows_per_band = _bands(threshold)
    seen: list[dict[bytes, int]] = [{} for _ in range(num_bands)]
    signatures = np.empty((len(texts), _NUM_PERMUTATIONS), np.uint32)
    found: dict[int, int] = {}
    for first in range(0, len(texts), _ROWS_PER_BATCH):
        batch = [_ngrams(text) for text in texts[first : first + _ROWS_PER_BATCH]]
        digests = RMinHash.digest_matrix_from_token_sets(batch, _NUM_PERMUTATIONS, _SEED)
        signatures[first : first + len(batch)] = np.array(digests.to_rows(), np.uint32)
        for index in range(first, first + len(batch)):
            row = signatures[index]
            keys = [row[band * rows_per_band : (band + 1) * rows_per_band].tobytes() for band in range(num_bands)]
            earlier = {table[key] for table, key in zip(seen, keys, strict=True) if key in table}
            twin = next((other for other in sorted(earlier) if _similarity(row, signatures[other]) >= threshold), None)
            if twin is not None:
                found[index] = twin
                continue
            for table, key in zip(seen, keys, strict=True):
                table.setdefault(key, index)
    return found


def _ngrams(text: str) -> list[str]:
    text = text.lower()
    return [text[first : first + _NGRAM_CHARACTERS] for first in range(max(1, len(text) - _NGRAM_CHARACTERS + 1))]


def _similarity(left: "np.ndarray", right: "np.ndarray") -> float:
    return float((left == right).mean())


def _bands(threshold: float) -> tuple[int, int]:
    """Return the number of bands and their size: the fewest bands that miss at most 1 % of pairs at the threshold."""
    for rows in range(_NUM_PERMUTATIONS, 0, -1):
        bands = _NUM_PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= 0.01:
            return bands, rows
    return _NUM_PERMUTATIONS, 1
