"""One mixture, made of rows on disk: duplicates found, rows drawn, rendered and shuffled, in bounded memory.

First every part's rows are parted into buckets by a hash of their texts: equal rows meet in one bucket. Then the
buckets are taken one after the other: duplicates are dropped, the draw applied, what is left rendered. The examples go
into buckets by keys that the seed draws, and each of these is sorted and written. So draw, combinations and order
follow from the seed and the texts, neither from the size of the buckets nor from the order of the raw file.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crosstune.data import mixture
from crosstune.data.external_shuffle import Buckets, Keys, batches, mixed, num_buckets
from crosstune.data.filters import DUPLICATE, NEAR_DUPLICATE, REFUSED
from crosstune.data.mixture import Indices
from crosstune.data.near_duplicates import nearly_equal
from crosstune.data.parts import OF_TWINS, Part, as_seen, compared_by, rows_at, texts_of, without_twins
from crosstune.errors import BadInputError
from crosstune.prompts.examples import SCHEMA, Example
from crosstune.recipe import Quality
from crosstune.runs.in_order import Chunk, InOrder

_HASHES = [pa.field("row", pa.int64()), pa.field("hash", pa.uint64()), pa.field("more", pa.uint64())]
_PLACES = [pa.field("key", pa.uint64()), pa.field("part", pa.int32()), pa.field("index", pa.int64())]
_ROWS_AT_ONCE = 2048
# What is tokenized by one process at least, and begun anew where that is interrupted. Documents may be long.
_ROWS_PER_GROUP = 20_000
BYTES_PER_GROUP = 8_000_000
_EXAMPLES = pa.schema([*_PLACES, *SCHEMA])


class Mixer:
    """Makes one mixture in a folder for what is in the making."""

    def __init__(
        self, parts: Sequence[Part], quality: Quality, seed: int, folder: Path, side_by_side: InOrder | None = None
    ) -> None:
        self._parts, self._quality, self._seed, self._folder = parts, quality, seed, folder
        self._side_by_side = side_by_side or InOrder()
        size = sum(part.spool.stat().st_size for part in parts)
        self._num_buckets = num_buckets(size)
        growth = max(part.settings.repeats * part.renderer.examples_per_row for part in parts)
        self._num_example_buckets = num_buckets(size * growth)
        self._has_weights = any(part.settings.weight for part in parts)
        self.num_steps = len(parts) + self._num_buckets + self._num_example_buckets

    def steps(self, target: Path) -> Iterator[str]:
        """Do the work and yield after each of ``num_steps`` steps what was done; ``target`` is the Parquet file."""
        for index, part in enumerate(self._parts):
            self._part_rows(part, self._folder / f"part{index}")
            self._draw(part)
            yield part.settings.source
        examples = Buckets(self._folder / "examples", _EXAMPLES, self._num_example_buckets)
        with examples:
            for bucket in range(self._num_buckets):
                self._render_bucket(bucket, examples)
                yield "rendered"
        yield from self._write(examples, target)

    def _part_rows(self, part: Part, folder: Path) -> None:
        """Write a part's rows into buckets by the hash of their texts."""
        seen_batches = (as_seen(batch, part.settings) for batch in batches(part.spool))
        work = partial(compared_by, with_signatures=self._quality.near_duplicate_threshold is not None)
        first = 0
        done = self._side_by_side.map(work, (Chunk(seen, seen, seen.nbytes) for seen in seen_batches), may_start=False)
        for seen, (hashes, signatures) in done:
            if part.buckets is None:
                part.buckets = Buckets(folder, pa.schema([*_HASHES, *seen.schema]), self._num_buckets)
            part.signatures.append(signatures)
            numbers = np.arange(first, first + len(hashes))
            arrays = [pa.array(numbers), pa.array(hashes[:, 0]), pa.array(hashes[:, 1]), *seen.columns]
            schema = pa.schema([*_HASHES, *seen.schema])
            part.buckets.add(pa.RecordBatch.from_arrays(arrays, schema=schema), hashes[:, 0])
            first += len(hashes)
        if part.buckets is not None:
            part.buckets.__exit__(None, None, None)

    def _draw(self, part: Part) -> None:
        """Drop what occurs twice within a part, and draw of the rest: which rows of each bucket stay."""
        if part.buckets is None:
            return
        unique = [self._unique(part, part.buckets.read(bucket)) for bucket in range(self._num_buckets)]
        if self._quality.near_duplicate_threshold is not None:
            unique = self._without_near_duplicates(part, unique, self._quality.near_duplicate_threshold)
        keys = [hashes for _, hashes in unique]
        limit, source = part.settings.max_rows, part.settings.source
        chosen = mixture.draw(np.concatenate(keys), limit, self._seed, source)
        ends = np.cumsum([len(rows) for rows, _ in unique])
        split = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
        starts = [0, *ends[:-1]]
        part.drawn = [rows[mine - start] for (rows, _), mine, start in zip(unique, split, starts, strict=True)]
        part.num_unique, part.num_drawn = int(ends[-1]), len(chosen)

    def _unique(self, part: Part, table: pa.Table) -> tuple[Indices, Keys]:
        """Return the places in a bucket of rows that are there for the first time, and their hashes."""
        hashes: Keys = table.column("hash").to_numpy()
        if not self._quality.drop_duplicates:
            return np.arange(len(hashes)), hashes
        both = np.stack([hashes, table.column("more").to_numpy()], axis=1)
        _, first, inverse = np.unique(both, axis=0, return_index=True, return_inverse=True)
        firsts = first[inverse.reshape(-1)]
        again = np.flatnonzero(firsts != np.arange(len(hashes)))
        origins = table.column("origin")
        texts = texts_of(table, again)
        for place, row in zip(again, texts, strict=True):
            same_as = f"{part.settings.source} {origins[int(firsts[place])].as_py()}"
            part.drops.add(DUPLICATE, part.settings.source, origins[int(place)].as_py(), {**row, "same_as": same_as})
        unique = np.sort(first).astype(np.int32)
        return unique, hashes[unique]

    def _without_near_duplicates(
        self, part: Part, unique: Sequence[tuple[Indices, Keys]], threshold: float
    ) -> list[tuple[Indices, Keys]]:
        """Drop nearly equal rows; here, and only here, something of all rows of a part is in memory at once."""
        assert part.buckets is not None
        numbers = [
            part.buckets.read(bucket).column("row").to_numpy()[places] for bucket, (places, _) in enumerate(unique)
        ]
        buckets = np.repeat(np.arange(len(unique)), [len(places) for places, _ in unique])
        places = np.concatenate([places for places, _ in unique])
        order = np.argsort(np.concatenate(numbers))
        signatures = np.concatenate(part.signatures)[np.concatenate(numbers)[order]]
        part.signatures = []
        twins = nearly_equal(signatures, threshold)
        buckets, places = buckets[order], places[order]
        dropped, kept_ones = (np.array([*ones], np.int64) for ones in (twins, twins.values()))
        rows, earlier = (rows_at(part, buckets[ones], places[ones]) for ones in (dropped, kept_ones))
        for (origin, row), (same, _) in zip(rows, earlier, strict=True):
            same_as = f"{part.settings.source} {same}"
            part.drops.add(NEAR_DUPLICATE, part.settings.source, origin, {**row, "same_as": same_as})
        kept = [~np.isin(mine, places[dropped[buckets[dropped] == b]]) for b, (mine, _) in enumerate(unique)]
        return [(places[mask], hashes[mask]) for mask, (places, hashes) in zip(kept, unique, strict=True)]

    def _render_bucket(self, bucket: int, examples: Buckets) -> None:
        """Drop what another part has already, and write the examples of the rest.

        After the draw: a twin that the mixture does not use is no reason to drop a row, and the draw stays the same in
        mixtures with and without the other source.
        """
        earlier: list[tuple[str, pa.Table]] = []
        for number, part in enumerate(self._parts):
            if part.buckets is None or not len(part.drawn[bucket]):
                continue
            table = part.buckets.read(bucket).take(part.drawn[bucket]).sort_by("hash")
            if self._quality.drop_duplicates:
                is_new = without_twins(part, table, earlier)
                earlier.append((part.settings.source, table.select(OF_TWINS)))
                table = table if is_new.all() else table.filter(pa.array(is_new))
            self._render(number, part, table, examples)

    def _render(self, number: int, part: Part, table: pa.Table, examples: Buckets) -> None:
        """Write the examples of some rows; the repeats of a row follow each other and get different combinations.

        A chat template may refuse a conversation, as one in which a user speaks twice: it is dropped.
        """
        per_row, repeats, noise = part.renderer.examples_per_row, part.settings.repeats, part.renderer.noise
        for first in range(0, len(table), _ROWS_AT_ONCE):
            made: list[Example] = []
            rendered: list[int] = []
            rows = table.slice(first, _ROWS_AT_ONCE)
            columns = (rows.column(name).to_pylist() for name in ("hash", "origin"))
            for hashed, origin, texts in zip(*columns, texts_of(rows, None), strict=True):
                num_asked = len(noise.changes)
                try:
                    made += [one for _ in range(repeats) for one in part.renderer.render(origin, texts)]
                except BadInputError as error:
                    del noise.changes[num_asked:]
                    part.drops.add(REFUSED, part.settings.source, origin, {**texts, "refused": str(error)})
                else:
                    rendered.append(hashed)
            part.num_used += len(rendered)
            hashes = np.repeat(np.array(rendered, np.uint64), repeats * per_row)
            copies = np.tile(np.repeat(np.arange(repeats, dtype=np.uint64), per_row), len(rendered))
            within = np.tile(np.arange(per_row, dtype=np.uint64), len(rendered) * repeats)
            ids = mixed(hashes) + within
            keys = mixed(mixed(ids, self._seed, "order", number) + copies)
            index = np.arange(part.num_examples, part.num_examples + len(made))
            part.num_examples += len(made)
            if self._has_weights:
                part.copies.append(copies.astype(np.int32))
                part.picks.append(mixed(ids, self._seed, "weight", part.settings.source))
            arrays = [
                pa.array(keys),
                pa.array(np.full(len(made), number, np.int32)),
                pa.array(index),
                *(
                    pa.array(column, pa.string())
                    for column in (zip(*made, strict=True) if made else [()] * len(SCHEMA))
                ),
            ]
            examples.add(pa.RecordBatch.from_arrays(arrays, schema=_EXAMPLES), keys)

    def _write(self, examples: Buckets, target: Path) -> Iterator[str]:
        """Sort the examples bucket by bucket, and write those that the weights leave."""
        chosen = self._chosen() if self._has_weights else None
        with pq.ParquetWriter(target, SCHEMA) as writer:
            for bucket in range(len(examples)):
                table = examples.read(bucket)
                if chosen is not None:
                    table = _filtered(table, chosen)
                order = np.lexsort((table.column("part").to_numpy(), table.column("key").to_numpy()))
                sorted_table = table.take(order).select(SCHEMA.names)
                rows_of_bytes = BYTES_PER_GROUP * len(sorted_table) // max(1, sorted_table.nbytes)
                writer.write_table(sorted_table, max(1, min(_ROWS_PER_GROUP, rows_of_bytes)))
                yield "written"

    def _chosen(self) -> list[NDArray[np.bool_]]:
        """Return which of each part's examples the weights leave."""
        settings = [part.settings for part in self._parts]
        wanted = mixture.weighed(settings, [part.num_examples for part in self._parts])
        chosen = []
        for part, number in zip(self._parts, wanted, strict=True):
            copies, picks = np.concatenate(part.copies), np.concatenate(part.picks)
            chosen.append(mixture.taken(copies, picks, number, part.settings))
            part.num_examples = number
            per_row = part.settings.repeats * part.renderer.examples_per_row
            part.num_left_out = int((~chosen[-1].reshape(-1, per_row).any(axis=1)).sum())
            if (noise := part.renderer.noise).changes:
                noise.changes = bytearray(np.frombuffer(noise.changes, np.uint8)[chosen[-1]].tobytes())
        return chosen


def _filtered(table: pa.Table, chosen: Sequence[NDArray[np.bool_]]) -> pa.Table:
    parts, index = (table.column(name).to_numpy() for name in ("part", "index"))
    kept = np.zeros(len(table), bool)
    for number, mask in enumerate(chosen):
        mine = parts == number
        kept[mine] = mask[index[mine]]
    return table.filter(pa.array(kept))
