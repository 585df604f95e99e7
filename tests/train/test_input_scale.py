"""A million rows: training waits for seconds, and memory holds an index of them, whatever their length."""

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crosstune.recipe import Phase
from crosstune.tokens.shard_files import read_shard
from crosstune.tokens.store import SCHEMA
from crosstune.train.batches import Share, make_schedule
from crosstune.train.cost import count_tokens
from crosstune.train.loader import batches
from crosstune.train.rows import make_rows
from tests.train.conftest import phase as phase_content

NUM_ROWS, LENGTH = 1_000_000, 16


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten batches of rows; every fifth row is plain text."""
    path = tmp_path_factory.mktemp("tokens") / "tokens.arrow"
    size = NUM_ROWS // 10
    is_text = np.arange(size) % 5 == 0
    columns = [
        pa.LargeListArray.from_arrays(np.arange(size + 1) * LENGTH, np.arange(size * LENGTH, dtype=np.int32) % 1000),
        np.where(is_text, 1, LENGTH // 2).astype(np.int32),
        np.zeros(size, bool),
        np.full(size, 20, np.int32),
        is_text,
        *(pa.repeat(text, size) for text in ("ko", "news", "news.txt:1")),
    ]
    with pa.ipc.new_file(str(path), SCHEMA) as writer:
        for _ in range(10):
            writer.write_table(pa.table(columns, schema=SCHEMA))
    return path


@pytest.mark.slow
def test_a_million_rows_are_ready_in_seconds_and_a_few_bytes_a_token(path: Path) -> None:
    content = {**phase_content(global_batch_size=128), "num_steps": None, "num_epochs": 3, "max_length_tokens": 64}
    phase = Phase.model_validate_json(json.dumps(content))
    arrow_before = pa.total_allocated_bytes()
    started = time.process_time()
    tracemalloc.start()
    try:
        rows, _ = make_rows(read_shard(path), phase)
        schedule = make_schedule(len(rows), phase, (1, 0))
        tokens = count_tokens(rows, schedule, 1, 4096, num_sampled=20)
        loader = batches(rows, schedule, 0, Share(0, 1, 4096))
        next(loader)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    loader.close()
    assert len(rows) == 4 * NUM_ROWS // 5 + NUM_ROWS // 5 // 4
    assert tokens.real == 3 * NUM_ROWS * LENGTH
    # Measured: 0.3 s and 4 bytes a token. Rows as Python objects took minutes and 44 bytes a token.
    assert time.process_time() - started < 10
    assert held + pa.total_allocated_bytes() - arrow_before < 10 * NUM_ROWS * LENGTH
