"""What training says when the machine or the numbers fail, and what to do then."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from crosstune.errors import CrosstuneError
from crosstune.models.plain import Way

_MAX_NAMED_ROWS = 8


def not_finite(where: str, bad: Sequence[str], batch: Sequence[str]) -> str:
    """Return the message for a loss or gradient that is not finite; ``bad`` are the rows whose loss is not.

    Both are files and lines; ``batch`` are all rows of the step.
    """
    what = "the loss of these rows" if bad else "the gradient, though not the loss, of these rows"
    origins = bad or batch
    return (
        f"{where} gave no finite number in {what}: {', '.join(origins[:_MAX_NAMED_ROWS])}"
        f"{' …' if len(origins) > _MAX_NAMED_ROWS else ''}. The last checkpoint is from before "
        "this step and is kept. Look at these rows; if nothing is wrong with them, lower learning_rate or "
        "max_grad_norm, and train this system anew"
    )


@contextmanager
def memory_advice(title: str, micro_batch_tokens: int, way: Way = "packed") -> Iterator[None]:
    """Turn a lack of memory, on a GPU or a CPU, into the settings to change; ``way`` is how the model reads rows.

    Raises:
        CrosstuneError: when something within the context does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # torch has no class of its own for the memory of a CPU.
        of_cpu = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        if not of_cpu and not isinstance(error, torch.OutOfMemoryError):
            raise
        asked, lower = f"train.micro_batch_tokens={micro_batch_tokens}", "Lower it (the result stays the same)"
        if way == "one by one":  # A pass is one row, whatever is asked.
            asked, lower = "rows read one by one", "Lower max_length_tokens (this retrains the system)"
        raise CrosstuneError(
            f"{title}: out of memory with {asked} ({error}). {lower}, or set train.gradient_checkpointing=true, or "
            "launch on more GPUs with recipes/launch/one_node_8_gpus.yaml; train.optimizer=adamw_8bit "
            "also needs less, and retrains this system. The last checkpoint is kept"
        ) from None


def _cause_of(error: BaseException) -> BaseException:
    """Return the first rank's own error where all ranks wrote together."""
    if not isinstance(error, CheckpointException):
        return error
    return next(cause for cause, _ in error.failures.values())


@contextmanager
def disk_advice(what: str, unfinished: Path | None = None) -> Iterator[None]:
    """Turn a failure to write into what to do, and remove the folder that was left half written.

    Raises:
        CrosstuneError: when something within the context cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise CrosstuneError(
            f"cannot write {what} ({_cause_of(error)}). Earlier checkpoints are kept: free disk space and run the same "
            f"command again to resume from the newest"
        ) from None
