"""Data sets of the Hugging Face hub by name, or of a local folder in its layout, streamed."""

from pathlib import Path
from typing import Any

from crosstune.data.readers.records import Record, Records
from crosstune.errors import BadInputError
from crosstune.recipe import Source
from crosstune.runs.named_files import matching


def hugging_face(source: Source, name: str, root: Path) -> Records:
    """Yield the rows of a data set as mappings, without storing them on disk.

    Raises:
        BadInputError: when it cannot be loaded; offline, only local folders can.
    """
    # Imported here: it takes a second, and only this reader needs it.
    import datasets

    path = next((str(found) for found in matching(root, name) if found.is_dir()), name)
    number = 0
    try:
        rows: Any = datasets.load_dataset(
            path, source.config, split=source.split, revision=source.revision, streaming=True
        )
        for row in rows:
            number += 1
            yield Record(f"{name}/{source.split}:row {number}", row)
    # Whatever a data set's files, the hub or the network can do wrong comes with a class of its own.
    except Exception as error:
        message = " ".join(str(error).split())[:500]
        after = f" after row {number}" if number else ""
        raise BadInputError(
            f"the Hugging Face data set {name!r} (config {source.config!r}, split {source.split!r}, revision "
            f"{source.revision!r}) could not be read{after}: {type(error).__name__}: {message}. Correct the name, "
            "`config` and `split`, check the network, or download it and name its files in `paths`"
        ) from None
