"""Locks: two processes that do not know of one another never write one folder or file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosstune.errors import RunFolderError
from crosstune.runs import ranks


@contextmanager
def only_process_in(folder: Path, instead: str) -> Iterator[None]:
    """Hold a folder's lock, making the folder where it is not there; processes that were launched together share it.

    ``instead`` says what to do other than wait.

    Raises:
        RunFolderError: when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / ".lock", f"another crosstune process works in {folder}: wait for it, or {instead}"):
        yield


@contextmanager
def only_writer_of(file: Path, instead: str) -> Iterator[None]:
    """Hold the lock of a file that is written in several steps; the lock lies beside it and goes when it is done.

    Raises:
        RunFolderError: when another process holds it.
    """
    lock = file.with_name(f".{file.name}.lock")
    with _held(lock, f"another crosstune process writes {file}: wait for it, or {instead}"):
        try:
            yield
        finally:
            # While it is held: who opened it before finds that it is gone, and asks again.
            lock.unlink(missing_ok=True)


@contextmanager
def _held(lock: Path, refusal: str) -> Iterator[None]:
    if not ranks.is_main_process():
        yield
        return
    # Imported here: it takes a tenth of the time of --help.
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise RunFolderError(refusal) from None
    try:
        yield
    finally:
        held.release()
