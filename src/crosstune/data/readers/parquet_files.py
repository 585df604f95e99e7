"""Parquet files, read by row group in bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crosstune.data.readers.archives import Member
from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.unpack import read_bytes
from crosstune.errors import BadInputError

_BATCH_ROWS = 1024


def parquet(path: Path, name: str, packed: Member | None = None) -> Records:
    """Yield the rows of a file, or of one in an archive, as mappings from column to value.

    Raises:
        BadInputError: when it is no whole Parquet file, or names a column twice.
    """
    number = 0
    try:
        # Not memory-mapped: a file that is cut while it is read must not end the process.
        with pq.ParquetFile(pa.BufferReader(read_bytes(path, packed)) if packed else path, memory_map=False) as file:
            _check_names(file.schema_arrow.names, path)
            for batch in file.iter_batches(_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{name}:row {number}", row)
    except BadInputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInputError(
            f"{path} is not a complete Parquet file after row {number}: {error}. Copy or download it again, or correct "
            "`format`"
        ) from None


def _check_names(names: list[str], path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInputError(
            f"{path} has duplicate column names: {', '.join(twice)}. It is unclear which one is meant: rename or "
            f"remove "
            "the others"
        )
