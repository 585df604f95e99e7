"""The record that flows from the data stage to training, and its Parquet file."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([(name, pa.string()) for name in ("prompt", "completion", "language", "source", "origin")])
# Of pairs, whose examples are a chosen and a rejected answer in turn: whether an answer did not end by itself, and so
# has no EOS that could be learnt from.
IS_OPEN = "is_open"


class Example(NamedTuple):
    """One training example, as text: it serves every tokenizer.

    A named tuple, because a mixture has millions and this is the cheapest record with names.

    Attributes:
        prompt: what is given; empty for plain text (continued pretraining), where every token is supervised.
        completion: what is learnt, without the EOS that training appends.
        language: code of the completion.
        source: the recipe's name of the corpus.
        origin: ``file:line`` (or ``file:row``) of the raw row, for messages.
    """

    prompt: str
    completion: str
    language: str
    source: str
    origin: str


def write_examples(path: Path, examples: Iterable[Example]) -> int:
    """Write examples in order and return their number."""
    table = pa.Table.from_pylist([example._asdict() for example in examples], schema=SCHEMA)
    pq.write_table(table, path)
    return int(table.num_rows)


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a mixture in order."""
    table = pq.read_table(path, schema=SCHEMA)
    columns = [table.column(name).to_pylist() for name in SCHEMA.names]
    return [Example(*row) for row in zip(*columns, strict=True)]
