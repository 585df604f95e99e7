"""A part of a mixture on its way, and how its rows are told from those of other parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crosstune.data.external_shuffle import Buckets, Keys
from crosstune.data.filters import DUPLICATE
from crosstune.data.mixture import Indices, Renderer
from crosstune.data.near_duplicates import Signatures, signatures_of
from crosstune.data.rows import Drops
from crosstune.prompts.cleaning import normalised
from crosstune.recipe import MixturePart, Source

# What tells of a row whether another part holds it.
OF_TWINS = ["hash", "more", "origin"]


@dataclass
class Part:
    """A part of a mixture on its way.

    Attributes:
        spool: the usable rows of its source.
        drops: what this part drops, besides what was not usable.
        signatures: of its rows in their order, until near duplicates are dropped.
        num_used: rows that examples were made of.
        num_left_out: those of them of which the weights leave no example.
        drawn: by bucket, the places of the rows that the draw left.
        copies: which repeat each example belongs to; kept only where weights choose among them.
        picks: keys by which weights choose.
    """

    settings: MixturePart
    source: Source
    spool: Path
    renderer: Renderer
    drops: Drops
    buckets: Buckets | None = None
    num_unique: int = 0
    num_used: int = 0
    num_left_out: int = 0
    num_drawn: int = 0
    num_examples: int = 0
    signatures: list[Signatures] = field(default_factory=list)
    drawn: list[Indices] = field(default_factory=list)
    copies: list[NDArray[np.int32]] = field(default_factory=list)
    picks: list[Keys] = field(default_factory=list)


def as_seen(batch: pa.RecordBatch, part: MixturePart) -> pa.RecordBatch:
    """Return a batch of usable rows as a part sees it: origin and texts, or one language's side as text."""
    if part.as_text is None:
        return batch
    return pa.RecordBatch.from_arrays([batch.column("origin"), batch.column(part.as_text)], names=["origin", "text"])


def compared_by(batch: pa.RecordBatch, with_signatures: bool) -> tuple[NDArray[np.uint64], Signatures]:
    """Return by what rows are compared: 128 bits, [rows, 2], the same for texts that count as the same, and MinHash."""
    columns = [map(normalised, batch.column(name).to_pylist()) for name in batch.schema.names if name != "origin"]
    rows = list(zip(*columns, strict=True))
    digests = b"".join(blake2b("\0".join(texts).encode(), digest_size=16).digest() for texts in rows)
    hashes = np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2)
    return hashes, signatures_of(["\n".join(texts) for texts in rows] if with_signatures else [])


def texts_of(table: pa.Table, places: Indices | None) -> list[dict[str, str]]:
    """Return the texts of rows by name."""
    names = [name for name in table.column_names if name not in ("row", "hash", "more", "origin")]
    chosen = table.select(names)
    rows: list[dict[str, str]] = (chosen if places is None else chosen.take(places)).to_pylist()
    return rows


def rows_at(part: Part, buckets: Indices, places: Indices) -> list[tuple[str, dict[str, str]]]:
    """Return origin and texts of rows of a part, given the bucket of each and its place there."""
    assert part.buckets is not None
    found: list[tuple[str, dict[str, str]]] = [("", {})] * len(places)
    for bucket in np.unique(buckets).tolist():
        mine = np.flatnonzero(buckets == bucket)
        table = part.buckets.read(bucket).take(places[mine])
        for index, *row in zip(mine.tolist(), table.column("origin").to_pylist(), texts_of(table, None), strict=True):
            found[index] = (row[0], row[1])
    return found


def without_twins(part: Part, table: pa.Table, earlier: Sequence[tuple[str, pa.Table]]) -> NDArray[np.bool_]:
    """Drop the rows that earlier parts of the mixture hold, and return which are left."""
    hashes, source = table.column("hash").to_numpy(), part.settings.source
    is_new = np.ones(len(table), bool)
    maybe = np.zeros(len(table), bool)
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    for other, theirs in earlier:
        their_hashes = theirs.column("hash").to_numpy()
        maybe |= np.isin(hashes, their_hashes)
        met = theirs.filter(pa.array(np.isin(their_hashes, hashes)))
        for first, second, origin in zip(*(met.column(name).to_pylist() for name in OF_TWINS), strict=True):
            seen.setdefault((first, second), (other, origin))
    candidates = np.flatnonzero(maybe)
    columns = [table.column(name).take(candidates).to_pylist() for name in OF_TWINS]
    rows = zip(candidates.tolist(), *columns, texts_of(table, candidates), strict=True)
    for at, first, second, origin, texts in rows:
        place = (source, origin)
        twin = seen.get((first, second), place)
        # A mixture may use one corpus in several parts: the same row again is no duplicate.
        if twin != place:
            part.drops.add(DUPLICATE, *place, {**texts, "same_as": " ".join(twin)})
            is_new[at] = False
    return is_new
