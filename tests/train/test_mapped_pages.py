"""Pages of mapped tokens are this process's own before a row on them is read."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from crosstune.train import mapped_pages
from crosstune.train.batches import Schedule, Share
from crosstune.train.loader import batches
from crosstune.train.mapped_pages import PagesAhead
from crosstune.train.row_index import SegmentIndex, TokenValues
from crosstune.train.rows import Rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mapped pages are counted by Linux")
NUM_TOKENS, LENGTH = 3 * 2**20, 1024


@pytest.fixture
def mapped(tmp_path: Path) -> NDArray[np.int32]:
    path = tmp_path / "tokens"
    np.arange(NUM_TOKENS, dtype=np.int32).tofile(path)
    return np.memmap(path, np.int32, "r")


def pages_here(array: NDArray[np.int32]) -> int:
    """Return how many bytes of an array's file this process has mapped pages of."""
    first, last = array.ctypes.data // mmap.PAGESIZE, (array.ctypes.data + array.nbytes - 1) // mmap.PAGESIZE
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(8 * first)
        entries = np.frombuffer(file.read(8 * (last - first + 1)), np.uint64)
    return mmap.PAGESIZE * int((entries >> np.uint64(63)).sum())


def mapped_rows(values: NDArray[np.int32]) -> Rows:
    count = NUM_TOKENS // LENGTH
    sizes = {"length": LENGTH, "num_prompt": 1, "num_bytes": 1, "corpus": 0}
    facts = {name: np.full(count, value, np.int32) for name, value in sizes.items()}
    index = SegmentIndex(start=np.arange(count) * LENGTH, example=np.arange(count), **facts)
    return Rows(index, np.arange(count + 1), TokenValues([values]), [("en", "a")], pa.chunked_array([], pa.string()))


def test_pages_are_mapped_one_stretch_after_the_other(
    mapped: NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_pages, "STRETCH_BYTES", mapped.nbytes // 3)
    pages = PagesAhead([mapped[5:]])  # it need not begin with a page
    assert pages_here(mapped) == 0 and pages.map_next()
    if not pages_here(mapped):
        pytest.skip("this kernel maps no pages ahead")
    assert pages_here(mapped) < mapped.nbytes
    assert pages.map_next() and pages.map_next() and not pages.map_next()
    assert pages_here(mapped) == mapped.nbytes


def test_batches_are_laid_out_of_pages_that_are_mapped_meanwhile_and_no_file_and_line_is_read(
    mapped: NDArray[np.int32],
) -> None:
    rows = mapped_rows(mapped)
    PagesAhead([mapped[:1]]).map_next()
    if not pages_here(mapped):
        pytest.skip("this kernel maps no pages ahead")
    found = list(batches(rows, Schedule(len(rows), 2, 1, (1, 0)), 0, Share(0, 1, LENGTH)))
    assert [batch.num_tokens for batch in found] == [LENGTH, LENGTH]
    assert pages_here(mapped) == mapped.nbytes


def test_what_is_larger_than_memory_is_left_where_it_is(
    mapped: NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_pages, "free_memory", lambda: mapped.nbytes)
    assert not PagesAhead([mapped]).map_next()
    assert pages_here(mapped) == 0


def test_pages_of_a_file_that_was_cut_are_left_without_a_fault(mapped: NDArray[np.int32]) -> None:
    with Path(str(mapped.filename)).open("r+b") as file:  # type: ignore[attr-defined]
        file.truncate(8192)
    pages = PagesAhead([mapped])
    assert pages.map_next() and not pages.map_next()
