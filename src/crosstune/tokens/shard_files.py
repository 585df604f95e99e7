"""The files that a mixture's tokens lie in: mapped from the disk, and watched, since training reads on for days."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from crosstune.errors import RunFolderError
from crosstune.runs.files import read_json
from crosstune.runs.folder import MANIFEST
from crosstune.runs.hashes import hash_file

# They are found damaged then.
_REMEDY = "Run the same command again: the same tokens are made anew, and training goes on"


def name_of_shard(number: int) -> str:
    """Return the name of a shard's file; names sort in the order of the mixture."""
    return f"tokens-{number:05d}.arrow"


def facts_of_shards(folder: Path) -> list[dict[str, Any]]:
    """Return what the manifest says of the shards in a folder, so that a change of one is found."""
    return [
        {
            "name": path.name,
            "bytes": path.stat().st_size,
            "modified_ns": path.stat().st_mtime_ns,
            "sha256": hash_file(path),
        }
        for path in sorted(folder.glob("tokens-*.arrow"))
    ]


def read_shard(path: Path) -> pa.Table:
    """Map a file of tokens."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def read_shards(folder: Path) -> pa.Table:
    """Map all shards of a mixture's tokens as one table, in the mixture's order.

    Raises:
        RunFolderError: when one is missing, cut or changed since it was written.
    """
    shards = read_json(folder / MANIFEST)["shards"]
    for shard in shards:
        problem = _problem(folder / shard["name"], shard)
        if problem:
            raise RunFolderError(f"{folder / shard['name']} {problem}. {_REMEDY}")
    return pa.concat_tables([read_shard(folder / shard["name"]) for shard in shards])


def keep_whole_shards(folder: Path, place: Path) -> None:
    """Move the shards of a damaged folder that are what was written to another place: they need not be made again."""
    place.mkdir(parents=True, exist_ok=True)
    for shard in read_json(folder / MANIFEST)["shards"]:
        path = folder / shard["name"]
        if path.is_file() and hash_file(path) == shard["sha256"]:
            path.replace(place / path.name)


def watch_shards(folder: Path) -> Callable[[], None]:
    """Return a function that raises once a shard that is mapped now was cut or changed.

    A process that reads a mapped page behind the end of its file is killed without a word. A shard that was removed or
    replaced does no harm: what is mapped stays as it was.
    """
    shards = read_json(folder / MANIFEST)["shards"]
    opened = [(folder / shard["name"]).open("rb") for shard in shards]
    before = [_state(file.fileno()) for file in opened]

    def check() -> None:
        for file, state in zip(opened, before, strict=True):
            found = _state(file.fileno())
            if found != state:
                is_cut = found[0] != state[0]
                what = f"{found[0]:,} bytes, {state[0]:,} when training began" if is_cut else "it was written to"
                raise RunFolderError(
                    f"{file.name} was changed while training read it: {what}. The last checkpoint is kept. {_REMEDY}"
                )

    return check


def _problem(path: Path, shard: dict[str, Any]) -> str:
    """Return what is wrong with a shard, empty where nothing is."""
    if not path.is_file():
        return "is missing"
    found = path.stat()
    if found.st_size != shard["bytes"]:
        return f"has {found.st_size:,} bytes, and {shard['bytes']:,} were written"
    # A folder that was copied has other times: only then is its content read.
    if found.st_mtime_ns != shard["modified_ns"] and hash_file(path) != shard["sha256"]:
        return "has another content than was written"
    return ""


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
