"""Near duplicates: rows whose texts share most of their character n-grams, found by MinHash.

Broder 1997, "On the resemblance and containment of documents". The signatures come from rensa, which makes them in
Rust; n-grams are hashed as arrays, since a Python string for each would take ten times as long as all the rest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from crosstune.data.external_shuffle import Keys, mixed
from crosstune.runs.in_order import text_batches

_NUM_PERMUTATIONS = 128
_NGRAM_CHARACTERS = 5
_SEED = 1
# What is cut into n-grams at once: 30 bytes for each character, which a core's cache should hold.
BATCH_CHARACTERS = 30_000
# Fowler, Noll and Vo's, of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)

Signatures = NDArray[np.uint32]


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """Return, for each text that is nearly the same as an earlier one that is kept, the index of that one.

    ``threshold`` is the Jaccard similarity of the sets of 5-character n-grams, as 128 hash functions estimate it: their
    standard error at 0.8 is 0.035.

    >>> near_duplicates(["The cat sat on the mat all day.", "A dog.", "the cat sat on the mat all day"], 0.8)
    {2: 0}
    """
    return nearly_equal(signatures_of(texts), threshold)


def signatures_of(texts: Sequence[str]) -> Signatures:
    """Return the MinHash of each text, [texts, permutations]."""
    # As they are compared: in small letters, and at least one n-gram long.
    compared = (text.lower().ljust(_NGRAM_CHARACTERS, "\0") for text in texts)
    signatures = map(_signatures, text_batches(compared, BATCH_CHARACTERS))
    return np.concatenate([np.empty((0, _NUM_PERMUTATIONS), np.uint32), *signatures])


def nearly_equal(signatures: Signatures, threshold: float) -> dict[int, int]:
    """Return what ``near_duplicates`` returns of the texts that some signatures are of."""
    num_bands, rows_per_band = _bands(threshold)
    keys = _band_keys(signatures, num_bands, rows_per_band)
    seen: list[dict[int, int]] = [{} for _ in range(num_bands)]
    found: dict[int, int] = {}
    for index in np.flatnonzero(_meets_another(keys)).tolist():
        row, row_keys = signatures[index], keys[index].tolist()
        earlier = {table[key] for table, key in zip(seen, row_keys, strict=True) if key in table}
        twin = next((other for other in sorted(earlier) if _similarity(row, signatures[other]) >= threshold), None)
        if twin is not None:
            found[index] = twin
            continue
        for table, key in zip(seen, row_keys, strict=True):
            table.setdefault(key, index)
    return found


def _signatures(texts: Sequence[str]) -> Signatures:
    """Return the MinHash of each text's n-grams, [texts, permutations]."""
    ends = np.cumsum([len(text) for text in texts])
    characters = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.uint64)
    behind = _NGRAM_CHARACTERS - 1
    # The last n-grams of a text would go on in the next one.
    whole = np.ones(len(characters), bool)
    whole[(ends[:, None] - 1 - np.arange(behind)).reshape(-1)] = False
    grams = mixed(_fnv(np.lib.stride_tricks.sliding_window_view(characters, _NGRAM_CHARACTERS)))[whole[:-behind]]
    offsets = np.concatenate([[0], ends - behind * np.arange(1, len(texts) + 1)]).astype(np.uint64)
    digests = RMinHash.digest_matrix_from_flat_token_hashes(grams, offsets, _NUM_PERMUTATIONS, _SEED)
    return np.array(digests.to_rows(), np.uint32)


def _band_keys(signatures: Signatures, num_bands: int, rows_per_band: int) -> Keys:
    """Return a key for each band of each signature, [texts, bands]; equal bands have equal keys."""
    bands = signatures[:, : num_bands * rows_per_band].reshape(len(signatures), num_bands, rows_per_band)
    return _fnv(bands)


def _fnv(words: NDArray[np.uint64] | Signatures) -> Keys:
    """Return the FNV-1a hash of words along the last axis."""
    keys = np.full(words.shape[:-1], _FNV_BASIS)
    for place in range(words.shape[-1]):
        keys = (keys ^ words[..., place]) * _FNV_PRIME
    return keys


def _meets_another(keys: Keys) -> NDArray[np.bool_]:
    """Return which texts share the key of a band with another one: only these can be nearly the same."""
    meets = np.zeros(len(keys), bool)
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        same = band[order[1:]] == band[order[:-1]]
        meets[order[1:][same]] = meets[order[:-1][same]] = True
    return meets


def _similarity(left: Signatures, right: Signatures) -> float:
    return float((left == right).mean())


def _bands(threshold: float) -> tuple[int, int]:
    """Return the number of bands and their size: the fewest bands that miss at most 1 % of pairs at the threshold."""
    for rows in range(_NUM_PERMUTATIONS, 0, -1):
        bands = _NUM_PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= 0.01:
            return bands, rows
    return _NUM_PERMUTATIONS, 1
