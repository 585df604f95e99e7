"""The tokens of a mixture under a tokenizer: made once, kept on disk as an Arrow file, counted by source."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.load import load_tokenizer
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.terminal import console, progress
from crosstune.tokens.encode import ENCODED, encode_examples

SCHEMA = pa.schema(
    [
        *ENCODED,
        ("num_bytes", pa.int32()),
        ("is_text", pa.bool_()),
        ("language", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
    ]
)
_FILE = "tokens.arrow"
# Text that is tokenised at a time; its arrays take ten times as much.
_BYTES_PER_BATCH = 16_000_000


@dataclass(frozen=True)
class Count:
    """What a mixture takes from one source, under one tokenizer; a document's first token is never learnt."""

    examples: int
    tokens: int
    supervised: int


def mixture_tokens(run: RunFolder, mixture: str, which: str) -> pa.Table:
    """Return a mixture's tokens under the ``base`` or ``extended`` tokenizer, in the mixture's order.

    Made and counted if they are not there for the same mixture and tokenizer; the table is mapped from the disk. Its
    columns are those of `encode_examples`, ``num_bytes`` (UTF-8 bytes of the completion), ``is_text`` (no prompt),
    ``language``, ``source`` and ``origin`` of the example.

    Raises:
        BadInputError: when an example has no token to learn, or prompt and completion change each other.
    """
    folder = run.tokens(mixture, which)
    wanted = fingerprint("tokens", fingerprint_of(run.mixture(mixture)), fingerprint_of(run.tokenizer(which)))
    if not is_current(folder, wanted):
        facts: dict[str, Any] = {}
        with whole_folder(folder, wanted, facts) as temporary:
            tokenizer = load_tokenizer(str(run.tokenizer(which)))
            title = f"tokenise {mixture} ({which})"
            path = temporary / _FILE
            write_tokens(run.mixture(mixture) / "examples.parquet", tokenizer, path, title)
            counts = count_by_source(read_tokens(path))
            facts["sources"] = {source: asdict(count) for source, count in counts.items()}
        console.print(_as_table(f"mixture {mixture}, {which} tokenizer", counts))
    return read_tokens(folder / _FILE)


def write_tokens(examples: Path, tokenizer: PreTrainedTokenizerBase, path: Path, title: str) -> None:
    """Tokenise the examples of a Parquet file into an Arrow file, row by row in their order."""
    file = pq.ParquetFile(examples)
    num_bytes = sum(file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups))
    rows_per_batch = max(1, file.metadata.num_rows * _BYTES_PER_BATCH // max(1, num_bytes))
    with pa.ipc.new_file(str(path), SCHEMA) as writer, progress(title, file.metadata.num_rows) as advance:
        for batch in file.iter_batches(rows_per_batch):
            writer.write_table(tokenize(batch, tokenizer))
            advance(batch.num_rows)


def tokenize(examples: pa.RecordBatch | pa.Table, tokenizer: PreTrainedTokenizerBase) -> pa.Table:
    """Return the tokens of examples, as `mixture_tokens` describes them.

    Raises:
        BadInputError: as `mixture_tokens` does.
    """
    prompts, completions = (pa.chunked_array([examples[name]]).combine_chunks() for name in ("prompt", "completion"))
    encoded = encode_examples(tokenizer, prompts, completions)
    is_text = pc.equal(prompts, "")
    # EOS alone teaches to be silent.
    num_learnt = pc.subtract(pc.list_value_length(encoded["tokens"]), encoded["num_prompt"])
    empty = pc.or_(pc.less(num_learnt, pc.if_else(is_text, 1, 2)), pc.equal(completions, ""))
    if pc.any(empty).as_py():
        origin = examples["origin"].filter(empty)[0].as_py()
        raise BadInputError(f"{origin} has no token to learn: its completion is empty. Remove the row")
    others = [examples[name] for name in ("language", "source", "origin")]
    return pa.table([*encoded.columns, pc.binary_length(completions), is_text, *others], schema=SCHEMA)


def read_tokens(path: Path) -> pa.Table:
    """Map an Arrow file of tokens."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def count_by_source(tokens: pa.Table) -> dict[str, Count]:
    """Count examples, tokens and supervised tokens of each source, sources in alphabetical order."""
    sizes = pc.list_value_length(tokens["tokens"])
    table = pa.table({"source": tokens["source"], "tokens": sizes, "learnt": pc.subtract(sizes, tokens["num_prompt"])})
    sums = table.group_by("source").aggregate([([], "count_all"), ("tokens", "sum"), ("learnt", "sum")])
    rows = sums.sort_by("source").to_pylist()
    return {row["source"]: Count(row["count_all"], row["tokens_sum"], row["learnt_sum"]) for row in rows}


def _as_table(title: str, counts: dict[str, Count]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("source", "examples", "tokens", "supervised tokens"):
        table.add_column(column, justify="left" if column == "source" else "right")
    total = Count(*(sum(getattr(count, name) for count in counts.values()) for name in Count.__dataclass_fields__))
    for source, count in [*counts.items(), ("total", total)]:
        table.add_row(source, f"{count.examples:,}", f"{count.tokens:,}", f"{count.supervised:,}")
    return table
