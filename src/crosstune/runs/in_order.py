"""The same work on many batches, in several processes where they are many, with the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from crosstune.runs.processes import none_ends_alone, num_cores, pool_of

# What starts processes, and what waits for them at most: characters or bytes. They take seconds to load what the work
# needs, in which one process works through as much.
MIN_SIZE = 8_000_000

Kept = TypeVar("Kept")
Given = TypeVar("Given")
Result = TypeVar("Result")


class Chunk(NamedTuple, Generic[Kept, Given]):
    """What work is done on, how large that is, and what its result is wanted with."""

    kept: Kept
    given: Given
    size: int


class InOrder:
    """Does work on batches: in this process until there is enough for others, which then stay for the next batches.

    Without ``module``, whose code the processes load beforehand, all work is done in this one.
    """

    def __init__(self, module: str = "") -> None:
        self._module = module
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(
        self, work: Callable[[Given], Result], batches: Iterable[Chunk[Kept, Given]], may_start: bool = True
    ) -> Iterator[tuple[Kept, Result]]:
        """Yield what is kept of each batch with what ``work`` makes of what is given of it; both can be pickled.

        Batches are read ahead until they have ``MIN_SIZE`` together. ``may_start``: whether the work is worth starting
        processes; else it is shared only with those that are there.
        """
        rest, ahead = iter(batches), list[Chunk[Kept, Given]]()
        is_shared = bool(self._module) and num_cores() > 1
        if not may_start:
            is_shared = self._pool is not None
        elif is_shared and self._pool is None:
            ahead = _at_least(MIN_SIZE, rest)
            is_shared = sum(batch.size for batch in ahead) >= MIN_SIZE
        if is_shared:
            yield from self._side_by_side(work, chain(ahead, rest))
        else:
            yield from ((batch.kept, work(batch.given)) for batch in chain(ahead, rest))

    def _side_by_side(
        self, work: Callable[[Given], Result], batches: Iterable[Chunk[Kept, Given]]
    ) -> Iterator[tuple[Kept, Result]]:
        if self._pool is None:
            self._pool = pool_of(num_cores(), self._module)
        waiting: deque[tuple[Kept, int, Future[Result]]] = deque()
        num_waiting = 0
        with none_ends_alone():
            for kept, given, size in batches:
                waiting.append((kept, size, self._pool.submit(work, given)))
                num_waiting += size
                while waiting and (num_waiting > MIN_SIZE or waiting[0][2].done()):
                    first, done, result = waiting.popleft()
                    num_waiting -= done
                    yield first, result.result()
            for kept, _, result in waiting:
                yield kept, result.result()


def _at_least(size: int, batches: Iterator[Chunk[Kept, Given]]) -> list[Chunk[Kept, Given]]:
    """Take batches until they have a size together, or end."""
    taken: list[Chunk[Kept, Given]] = []
    while size > 0 and (batch := next(batches, None)):
        taken.append(batch)
        size -= batch.size
    return taken


def text_batches(texts: Iterable[str], most_characters: int) -> Iterator[list[str]]:
    """Yield texts in batches of as many as have some characters together; the last text of a batch goes beyond."""
    batch: list[str] = []
    num_characters = 0
    for text in texts:
        batch.append(text)
        num_characters += len(text)
        if num_characters > most_characters:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch
