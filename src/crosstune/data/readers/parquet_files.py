"""Parquet files, read by row group in bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crosstune.data.readers.records import Record, Records
from crosstune.errors import BadInputError

_BATCH_ROWS = 1024


def parquet(path: Path, name: str) -> Records:
    """Yield the rows as mappings from column to value.

    Raises:
        BadInputError: when it is no whole Parquet file.
    """
    number = 0
    try:
        # Not memory-mapped: a file that is cut while it is read must not end the process.
        with pq.ParquetFile(path, memory_map=False) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{name}:row {number}", row)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInputError(
            f"{path} is no whole Parquet file after row {number}: {error}. Copy or download it again, or correct "
            "`format`"
        ) from None
