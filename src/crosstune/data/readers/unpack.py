"""Raw bytes of a file, unpacked where it is gzip or Zstandard, with limits against files made to fill the memory."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa

from crosstune.data.readers.archives import DAMAGED, Member
from crosstune.errors import BadInputError
from crosstune.runs.provenance import free_memory

# Text packs to a third or a tenth of its size, the most repetitive JSON to a fiftieth; gzip's own bound is 1,032.
MAX_RATIO = 200
# Below this a high ratio does no harm: a few thousand equal lines reach it, too.
MIN_BOMB_BYTES = 2**26
# What is parsed as a whole lies in memory several times: Gettext's files, and tables in an archive.
MAX_WHOLE_BYTES = 2**32
_WHOLE_COPIES = 4
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a stream; stops when they are out of proportion to the packed file."""

    def __init__(self, stream: Any, path: Path, packing: str) -> None:
        self._stream, self._path, self._packing = stream, path, packing
        self._allowed = max(MAX_RATIO * path.stat().st_size, MIN_BOMB_BYTES)
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            num_bytes = int(self._stream.readinto(buffer))
        except DAMAGED as error:
            check = {"zip": "unzip"}.get(self._packing, self._packing)
            raise BadInputError(
                f"{self._path} is not a whole {self._packing} file ({error}). Check it with `{check} -t`, and "
                "copy or download it again"
            ) from None
        self._num_bytes += num_bytes
        if self._num_bytes > self._allowed:
            raise BadInputError(
                f"{self._path} unpacks to more than {self._allowed:,} bytes from {self._path.stat().st_size:,}; text "
                f"unpacks to at most {MAX_RATIO} times its packed size, so it is a damaged file or a zip bomb. Unpack "
                "it yourself, look at it, and name the unpacked file in the recipe"
            )
        return num_bytes


@contextmanager
def open_unpacked(path: Path, packed: Member | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, unpacked by its first bytes or its suffix; memory stays constant.

    ``packed`` is the file in an archive that ``path`` stands for.

    Raises:
        BadInputError: when it cannot be read or unpacked, or unpacks to more than MAX_RATIO times its size.
    """
    if packed is not None:
        with _open_member(packed) as stream:
            yield io.BufferedReader(_Unpacked(stream, packed.archive, "zip"), 2**20)
        return
    try:
        with path.open("rb") as file:
            packing = next((name for magic, name in _MAGIC.items() if file.peek(4).startswith(magic)), None)
            packing = packing or _SUFFIXES.get(path.suffix)
            if packing is None:
                yield file
                return
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions") from None
    # pyarrow, because Python's gzip is three times slower and Zstandard comes with Python 3.14 only.
    with pa.input_stream(str(path), compression=packing) as stream:
        yield io.BufferedReader(_Unpacked(stream, path, packing), 2**20)


@contextmanager
def _open_member(packed: Member) -> Iterator[IO[bytes]]:
    state = packed.archive.stat()
    try:
        stream = _archive(packed.archive, state.st_size, state.st_mtime_ns).open(packed.name)
    except DAMAGED as error:
        raise BadInputError(
            f"{packed.archive}: {packed.shown} cannot be unpacked ({error}). Unpack the archive yourself, and name "
            "the files in it"
        ) from None
    with stream:
        yield stream


@lru_cache(maxsize=1)
def _archive(path: Path, size: int, modified: int) -> zipfile.ZipFile:
    """Return an archive of this size and time, opened once for all of its files: its table may list 10,000."""
    return zipfile.ZipFile(path)


def read_bytes(path: Path, packed: Member | None = None) -> bytes:
    """Return all bytes of a file, unpacked.

    Raises:
        BadInputError: as ``open_unpacked``, and when there are more than can be parsed here, or MAX_WHOLE_BYTES.
    """
    free = free_memory()
    allowed = min(MAX_WHOLE_BYTES, free // _WHOLE_COPIES) if free else MAX_WHOLE_BYTES
    content = io.BytesIO()
    with open_unpacked(path, packed) as file:
        # By parts: a single read would set aside the memory of the limit at once.
        while part := file.read(2**20):
            content.write(part)
            if content.tell() > allowed:
                raise BadInputError(
                    f"{path} holds more than {allowed:,} bytes, but it is parsed as a whole, which takes "
                    f"{_WHOLE_COPIES} times its size in memory; {free:,} bytes are free here, and up to "
                    f"{MAX_WHOLE_BYTES:,} are read. Split it into several files, unpack the archive that it lies in, "
                    f"or "
                    "convert it to JSON lines, which have no limit"
                )
    return content.getvalue()
