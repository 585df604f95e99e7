"""The pages of mapped files, handed to this process before it reads them: the kernel is not asked for each anew."""

import ctypes
import mmap
import sys
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from crosstune.runs.provenance import free_memory

# Some milliseconds where a file is in the system's cache; where it is not, it is read in its order, from end to end.
STRETCH_BYTES = 2**25
# Of free memory: of what is larger, pages that were read would leave it again before they are used.
_SHARE_OF_FREE = 0.5
# Linux 5.14 and later; others say that they do not know it. Python has no name for it.
_MADV_POPULATE_READ = 22


class PagesAhead:
    """Stretches of arrays in mapped files, whose pages become this process's own one stretch after the other.

    A row anywhere in a large file is on a page that the process has not seen: without this, the thread that lays out
    batches stops at every row, and the more often the larger the file is.
    """

    def __init__(self, arrays: Iterable[NDArray[np.int32]]) -> None:
        places = [(array.ctypes.data, array.nbytes) for array in arrays]
        fits = sum(size for _, size in places) <= _SHARE_OF_FREE * free_memory()
        self._stretches = deque(
            (begin, min(STRETCH_BYTES, address + size - begin))
            for address, size in (places if fits and sys.platform == "linux" else ())
            for begin in range(address - address % mmap.PAGESIZE, address + size, STRETCH_BYTES)
        )

    def map_next(self) -> bool:
        """Map the next stretch, without Python's lock; return whether there was one. What does not work is left."""
        if not self._stretches:
            return False
        begin, size = self._stretches.popleft()
        if ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), _MADV_POPULATE_READ):
            self._stretches.clear()
        return True
