"""The tokens of a mixture under a tokenizer: made once, shard by shard, kept on disk, counted by source."""

import shutil
import signal
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.load import load_tokenizer
from crosstune.prompts.examples import IS_OPEN
from crosstune.runs.files import read_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MANIFEST, RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.runs.processes import none_ends_alone, num_cores, pool_of
from crosstune.terminal.bars import progress
from crosstune.terminal.output import console, new_table
from crosstune.tokens.encode import ENCODED, encode_examples
from crosstune.tokens.shard_files import (
    facts_of_shards,
    keep_whole_shards,
    name_of_shard,
    read_shard,
    read_shards,
    watch_shards,
)

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
# Text that is tokenized at a time; its arrays take ten times as much.
_BYTES_PER_BATCH = 16_000_000
# Text of a shard, which is begun anew where it was interrupted: at most half a minute of one core. Of less text there
# are as many shards as keep the cores of most machines busy, but none that is done before a process has begun.
BYTES_PER_SHARD = 128_000_000
_SHARDS_OF_LITTLE_TEXT = 16
BYTES_OF_SMALL_SHARD = 16_000_000


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
        RunFolderError: when a file of tokens is missing, cut or changed.
    """
    folder = run.tokens(mixture, which)
    wanted = fingerprint("tokens", fingerprint_of(run.mixture(mixture)), fingerprint_of(run.tokenizer(which)))
    if not is_current(folder, wanted):
        examples, tokenizer = run.mixture(mixture) / "examples.parquet", run.tokenizer(which)
        # Named by what it is made from, so that only shards of the same tokens are taken up again.
        unfinished = folder.with_name(f".{folder.name}.{wanted}.unfinished")
        if (folder / MANIFEST).is_file() and read_json(folder / MANIFEST)["fingerprint"] == wanted:
            keep_whole_shards(folder, unfinished)
        with_controls = rendered_with_controls(run, mixture)
        write_shards(examples, tokenizer, unfinished, f"tokenise {mixture} ({which})", with_controls)
        facts: dict[str, Any] = {}
        with whole_folder(folder, wanted, facts) as temporary:
            for shard in sorted(unfinished.glob("tokens-*.arrow")):
                shard.rename(temporary / shard.name)
            facts["shards"] = facts_of_shards(temporary)
            tables = [read_shard(temporary / shard["name"]) for shard in facts["shards"]]
            counts = count_by_source(pa.concat_tables(tables))
            facts["sources"] = {source: asdict(count) for source, count in counts.items()}
        for outdated in folder.parent.glob(f".{folder.name}.*.unfinished"):
            shutil.rmtree(outdated)
        console.print(_as_table(f"mixture {mixture}, {which} tokenizer", counts))
    return read_shards(folder)


def rendered_with_controls(run: RunFolder, mixture: str) -> bool:
    """Return whether a chat template wrote a mixture's prompts, whose control tokens stand there by their names."""
    return bool(read_json(run.mixture(mixture) / MANIFEST).get("with_controls", False))


def watch_tokens(run: RunFolder, mixture: str, which: str) -> Callable[[], None]:
    """Return a function that raises once a file of a mixture's tokens was cut or changed."""
    return watch_shards(run.tokens(mixture, which))


def write_shards(examples: Path, tokenizer: Path, folder: Path, title: str, with_controls: bool = False) -> None:
    """Tokenise the examples of a Parquet file, shard by shard, in as many processes as there are cores.

    Shards that are there already are left as they are; what a shard holds depends on the examples alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer.cache_clear()  # there may be another in this folder
    shards = shards_for(examples)
    missing = [number for number in range(len(shards)) if not (folder / name_of_shard(number)).exists()]
    with progress(title, sum(shard.num_rows for shard in shards)) as advance:
        advance(sum(shard.num_rows for number, shard in enumerate(shards) if number not in missing))
        work = [
            _Work(examples, tokenizer, folder / name_of_shard(number), shards[number], with_controls)
            for number in missing
        ]
        num_processes = min(len(work), num_cores())
        if num_processes < 2:
            for one in work:
                write_shard(one, advance)
            return
        # What was interrupted is begun anew: nobody waits until it is done.
        with none_ends_alone(), pool_of(num_processes, __name__, on_interrupt=signal.SIG_DFL) as pool:
            try:
                for done in as_completed([pool.submit(_write_whole_shard, one) for one in work]):
                    advance(done.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


@dataclass(frozen=True)
class _Shard:
    """Row groups of a Parquet file that follow one another."""

    row_groups: tuple[int, ...]
    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class _Work:
    """A shard that is to be tokenized, from the examples and the folder of a tokenizer to a file."""

    examples: Path
    tokenizer: Path
    path: Path
    shard: _Shard
    with_controls: bool


def shards_for(examples: Path) -> list[_Shard]:
    """Return the shards of a Parquet file: as many row groups each as make the size of a shard, one at least."""
    metadata = pq.read_metadata(examples)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    # By the text alone: what one machine began, another goes on with.
    even = sum(group.total_byte_size for group in groups) // _SHARDS_OF_LITTLE_TEXT
    size = min(BYTES_PER_SHARD, max(BYTES_OF_SMALL_SHARD, even))
    shards = [_Shard((), 0, 0)]
    for index, group in enumerate(groups):
        last = shards[-1]
        if last.num_bytes >= size:
            last = _Shard((), 0, 0)
            shards.append(last)
        num_bytes = last.num_bytes + group.total_byte_size
        shards[-1] = _Shard((*last.row_groups, index), last.num_rows + group.num_rows, num_bytes)
    return shards


def _write_whole_shard(work: _Work) -> int:
    write_shard(work)
    return work.shard.num_rows


def write_shard(work: _Work, advance: Callable[[int], None] = lambda _: None) -> None:
    """Tokenise a shard into an Arrow file, row by row in their order; the file is there only when it is whole."""
    tokenizer = _tokenizer(work.tokenizer)
    file = pq.ParquetFile(work.examples)
    rows_per_batch = max(1, work.shard.num_rows * _BYTES_PER_BATCH // max(1, work.shard.num_bytes))
    temporary = work.path.with_name(f".{work.path.name}.tmp")
    with pa.ipc.new_file(str(temporary), SCHEMA) as writer:
        for batch in file.iter_batches(rows_per_batch, row_groups=list(work.shard.row_groups)):
            writer.write_table(tokenize(batch, tokenizer, work.with_controls))
            advance(batch.num_rows)
    temporary.rename(work.path)


@lru_cache(maxsize=1)
def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer once for all shards that a process tokenises: it remembers the words that it has seen."""
    return load_tokenizer(str(folder))


def tokenize(
    examples: pa.RecordBatch | pa.Table, tokenizer: PreTrainedTokenizerBase, with_controls: bool = False
) -> pa.Table:
    """Return the tokens of examples, as `mixture_tokens` describes them.

    Raises:
        BadInputError: as `mixture_tokens` does.
    """
    prompts, completions = (pa.chunked_array([examples[name]]).combine_chunks() for name in ("prompt", "completion"))
    encoded = encode_examples(tokenizer, prompts, completions, with_controls)
    is_text = pc.equal(prompts, "")
    is_pair = IS_OPEN in examples.schema.names
    if is_pair:
        encoded = encoded.set_column(0, ENCODED.field("tokens"), _without_end(encoded["tokens"], examples[IS_OPEN]))
    num_learnt = pc.subtract(pc.list_value_length(encoded["tokens"]), encoded["num_prompt"])
    # EOS alone teaches to be silent, which a rejected answer may have been.
    empty = pc.or_(pc.less(num_learnt, pc.if_else(is_text, 1, 2)), pc.equal(completions, ""))
    empty = pc.less(num_learnt, 1) if is_pair else empty
    if pc.any(empty).as_py():
        origin = examples["origin"].filter(empty)[0].as_py()
        raise BadInputError(f"{origin} has no supervised token: its completion is empty. Remove the row")
    others = [examples[name] for name in ("language", "source", "origin")]
    return pa.table([*encoded.columns, pc.binary_length(completions), is_text, *others], schema=SCHEMA)


def _without_end(tokens: pa.ChunkedArray, is_open: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the tokens of rows, without the last one (EOS) of those that are open."""
    rows = tokens.combine_chunks()
    rows = rows if isinstance(rows, pa.Array) else rows.chunk(0)
    ends = rows.offsets.to_numpy()
    gone = ends[1:][np.asarray(is_open, bool)] - 1
    values = np.delete(rows.values.to_numpy(), gone)
    return pa.LargeListArray.from_arrays(ends - np.searchsorted(gone, ends, side="left"), pa.array(values, pa.int32()))


def count_by_source(tokens: pa.Table) -> dict[str, Count]:
    """Count examples, tokens and supervised tokens of each source, sources in alphabetical order."""
    sizes = pc.list_value_length(tokens["tokens"])
    table = pa.table({"source": tokens["source"], "tokens": sizes, "learnt": pc.subtract(sizes, tokens["num_prompt"])})
    sums = table.group_by("source").aggregate([([], "count_all"), ("tokens", "sum"), ("learnt", "sum")])
    rows = sums.sort_by("source").to_pylist()
    return {row["source"]: Count(row["count_all"], row["tokens_sum"], row["learnt_sum"]) for row in rows}


def _as_table(title: str, counts: dict[str, Count]) -> Table:
    table = new_table(title)
    for column in ("source", "examples", "tokens", "supervised tokens"):
        table.add_column(column, justify="left" if column == "source" else "right")
    total = Count(*(sum(getattr(count, name) for count in counts.values()) for name in Count.__dataclass_fields__))
    for source, count in [*counts.items(), ("total", total)]:
        table.add_row(source, f"{count.examples:,}", f"{count.tokens:,}", f"{count.supervised:,}")
    return table
