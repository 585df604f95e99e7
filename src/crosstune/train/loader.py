"""The batches of a phase in their order, the next ones read and split in a thread while the device works."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor

from crosstune.train.batches import Batch, Schedule, Share, make_batch
from crosstune.train.rows import Rows

# Batches that are ready or in work while a step is computed.
_AHEAD = 2


def batches(
    rows: Rows, schedule: Schedule, begin: int, share: Share, check: Callable[[], None] = lambda: None
) -> Generator[Batch]:
    """Yield the batches from a step on; ``check`` raises where files of the rows were changed, before it harms."""

    def make(step: int) -> Batch:
        check()
        batch = make_batch(rows, step, schedule.rows_of_step(step), share)
        # What was changed between the two is learned from by no step.
        check()
        return batch

    steps = iter(range(begin, schedule.num_steps))
    waiting: deque[Future[Batch]] = deque()
    pages = rows.pages_ahead()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                pool.submit(pages.map_next)
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
