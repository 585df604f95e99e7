"""Rows on disk while a mixture is made: corpora may be larger than memory."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# What is held in memory at once: a batch of rows while they are written, a bucket while it is worked on.
_BATCH_ROWS = 4096
BATCH_CHARACTERS = 4_000_000
BUCKET_BYTES = 48_000_000

Keys = NDArray[np.uint64]


def num_buckets(num_bytes: int) -> int:
    """Return how many buckets hold so many bytes: a power of two, so that a key's first bits name its bucket."""
    return 1 << max(0, -(-num_bytes // BUCKET_BYTES) - 1).bit_length()


class Spool:
    """Records written one after the other, and read back in batches; a file of Arrow's IPC stream format."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._writer = pa.ipc.new_stream(str(path), schema)
        self._waiting: list[Sequence[Any]] = []
        self._characters = 0

    def add(self, record: Sequence[Any], num_characters: int) -> None:
        """Append a record; its length decides how many are written at once."""
        self._waiting.append(record)
        self._characters += num_characters
        if len(self._waiting) == _BATCH_ROWS or self._characters > BATCH_CHARACTERS:
            self._write()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Append many records."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """End the file; it can be read now."""
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self._waiting, self._characters = [], 0


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a spool."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        yield from reader


class Buckets:
    """Spools that part records by the first bits of a key, so that each fits in memory.

    Equal keys meet in one bucket, and the buckets one after the other, each sorted, are all records sorted.
    """

    def __init__(self, folder: Path, schema: pa.Schema, number: int) -> None:
        folder.mkdir(parents=True)
        self._paths = [folder / f"{index}.arrows" for index in range(number)]
        self._spools = [Spool(path, schema) for path in self._paths]
        self._shift = np.uint64(64 - (number - 1).bit_length()) if number > 1 else None

    def add(self, batch: pa.RecordBatch, keys: Keys) -> None:
        """Append records, each to its key's bucket."""
        if self._shift is None:
            self._spools[0].add_batch(batch)
            return
        places = keys >> self._shift
        order = np.argsort(places, kind="stable")
        found, starts = np.unique(places[order], return_index=True)
        ordered = batch.take(pa.array(order))
        for place, first, end in zip(found, starts, [*starts[1:], len(order)], strict=True):
            self._spools[int(place)].add_batch(ordered.slice(first, end - first))

    def read(self, index: int) -> pa.Table:
        """Return the records of one bucket, in the order in which they were added."""
        with pa.OSFile(str(self._paths[index])) as file, pa.ipc.open_stream(file) as reader:
            return reader.read_all()

    def __len__(self) -> int:
        return len(self._paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for spool in self._spools:
            spool.close()


def mixed(keys: Keys, *salt: str | int) -> Keys:
    """Return keys stirred by a salt: equal ones stay equal, and their order is drawn anew.

    The finaliser of splitmix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators").
    """
    stirred: Keys = keys ^ number_of(*salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        stirred = (stirred ^ (stirred >> np.uint64(shift))) * np.uint64(factor)
    return stirred ^ (stirred >> np.uint64(31))


def number_of(*salt: str | int) -> np.uint64:
    """Return a 64-bit number that stands for some words."""
    return np.uint64(int.from_bytes(blake2b(repr(salt).encode(), digest_size=8).digest(), "big"))
