"""Copies of the hub's data sets in a local folder, which tasks of lm-evaluation-harness read instead of the hub."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosstune.runs.hashes import describe_files

# Names of readers for files, not of data sets.
_READERS = ("arrow", "csv", "json", "pandas", "parquet", "text", "xml")


class CopyMissingError(Exception):
    """What a folder of copies lacks."""


@contextmanager
def copies_for_the_hub(folder: Path | None) -> Iterator[set[Path]]:
    """Let data sets be read from their copies in a folder, and none from elsewhere; give back which ones were.

    The harness names a data set deep in its own code, so the call that all of its readers make is replaced for as long
    as tasks are loaded.

    Raises:
        CopyMissingError: when the folder does not hold a data set that is asked for.
    """
    read: set[Path] = set()
    if folder is None:
        yield read
        return
    import datasets

    from_the_hub: Any = datasets.load_dataset

    def from_copy(path: str, *arguments: Any, **options: Any) -> Any:
        if path in _READERS or Path(path).is_absolute():
            return from_the_hub(path, *arguments, **options)
        copy = folder / path
        if not copy.is_dir():
            raise CopyMissingError(
                f"it reads the data set {path}, and there is no folder {copy}. Put the files there as the hub has "
                f"them: hf download --repo-type dataset {path} --local-dir {copy}"
            )
        read.add(copy)
        options.pop("revision", None)  # A copy is of one revision.
        # `datasets` knows a folder by its name and its README's configurations: another copy, or a changed one, would
        # be taken for the first.
        contents = hashlib.sha256(repr(describe_files(copy)).encode()).hexdigest()[:32]
        options["cache_dir"] = str(Path(datasets.config.HF_DATASETS_CACHE) / f"copy_{contents}")
        return from_the_hub(str(copy), *arguments, **options)

    datasets.load_dataset = from_copy
    try:
        yield read
    finally:
        datasets.load_dataset = from_the_hub
