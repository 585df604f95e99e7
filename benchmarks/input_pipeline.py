"""How long training waits for its rows, and the memory that they take: from tokens on the disk to steps' batches.

    python benchmarks/input_pipeline.py --json benchmarks/results/input_pipeline.json

The tokens are made here, with the lengths of the paper's mixture. Each size is read by a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crosstune.runs.provenance import commit, hardware, versions
from crosstune.tokens.store import SCHEMA

ROWS = (50_000, 1_000_000, 10_000_000)
BATCH_ROWS = 128
_CHUNK_ROWS = 100_000
_TIMED_STEPS = 200


def write_tokens(path: Path, num_rows: int) -> int:
    """Write rows of about 80 tokens, two thirds of them translations; return the number of tokens."""
    generator = np.random.default_rng(1)
    pool = generator.integers(3, 46_336, 20_000_000, dtype=np.int32)
    num_tokens = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for first in range(0, num_rows, _CHUNK_ROWS):
            size = min(_CHUNK_ROWS, num_rows - first)
            lengths = np.clip(generator.lognormal(4.2, 0.6, size), 8, 512).astype(np.int64)
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            begin = int(generator.integers(0, len(pool)))
            values = np.take(pool, np.arange(begin, begin + offsets[-1]), mode="wrap")
            is_pair = generator.random(size) < 0.66
            numbers = pc.cast(pa.array(np.arange(first, first + size)), pa.string())
            columns = {
                "tokens": pa.LargeListArray.from_arrays(offsets, values),
                "num_prompt": pa.array((lengths // 2).astype(np.int32)),
                "crosses": pa.array(np.zeros(size, bool)),
                "num_bytes": pa.array((2 * lengths).astype(np.int32)),
                "is_text": pa.array(np.zeros(size, bool)),
                "language": pc.if_else(is_pair, "ko", "en"),
                "source": pc.if_else(is_pair, "pairs", "alpaca"),
                "origin": pc.binary_join_element_wise("corpus.jsonl", numbers, ":"),
            }
            writer.write_table(pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA))
            num_tokens += int(offsets[-1])
    return num_tokens


def private_bytes() -> int:
    """Return the memory of this process without mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def measure(path: Path, num_steps: int = _TIMED_STEPS) -> dict[str, Any]:
    """Read the rows as training does; return seconds, bytes and milliseconds of what it waits for."""
    from crosstune.recipe import Phase
    from crosstune.tokens.shard_files import read_shard
    from crosstune.train.batches import Share, make_batch, make_schedule
    from crosstune.train.cost import count_tokens
    from crosstune.train.loader import batches
    from crosstune.train.rows import make_rows

    phase = Phase(mixture="m", method="full", num_epochs=3, global_batch_size=BATCH_ROWS, learning_rate=1e-4)
    pa.array([0])  # It loads pandas, which a process that trains has loaded before.
    before, clock, cpu = private_bytes(), time.perf_counter(), time.process_time()
    rows, _ = make_rows(read_shard(path), phase)
    schedule, share = make_schedule(len(rows), phase, (1, 0)), Share(0, 1, 4096)
    num_tokens = count_tokens(rows, schedule, 1, share.micro_batch_tokens, num_sampled=20).real // 3
    loader = batches(rows, schedule, 0, share)
    next(loader)
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
    loader.close()
    memory = private_bytes() - before
    # The loader's thread does it, a stretch before each batch.
    pages, cpu = rows.pages_ahead(), time.process_time()
    while pages.map_next():
        pass
    mapping_seconds = time.process_time() - cpu
    first, again = [], []
    for step in np.linspace(0, len(rows) // BATCH_ROWS - 1, num_steps).astype(int).tolist():
        indices = schedule.rows_of_step(step)
        # The second time its rows are in the processor's cache: what the first took longer is reading them.
        for found in (first, again):
            started = time.thread_time()
            batch = make_batch(rows, step, indices, share)
            # Batches of more tokens take longer.
            found.append((time.thread_time() - started) / batch.num_tokens)
    milliseconds = 1e3 * BATCH_ROWS * num_tokens / len(rows)
    return {
        "rows": len(rows),
        "tokens": num_tokens,
        "seconds_to_first_step": round(seconds, 2),
        "cpu_seconds_to_first_step": round(cpu_seconds, 2),
        "cpu_seconds_to_map_all_pages": round(mapping_seconds, 2),
        "bytes_a_token": round(memory / num_tokens, 2),
        "milliseconds_a_step": round(milliseconds * statistics.median(first), 2),
        "milliseconds_a_step_again": round(milliseconds * statistics.median(again), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--folder", type=Path, help="for the tokens: 3 GB for ten million rows")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    found = []
    for num_rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            path = Path(name) / "tokens.arrow"
            write_tokens(path, num_rows)
            command = [sys.executable, __file__, "--one", str(path)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        found.append(json.loads(said.splitlines()[-1]))
        print(found[-1], flush=True)
    if arguments.json:
        result = {"sizes": found, "commit": commit(), "hardware": hardware(), "versions": versions()}
        arguments.json.parent.mkdir(exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
