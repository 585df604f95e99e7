"""What a GGUF file says of itself: its settings, and the name, shape and number format of each tensor.

Written here because the readers of gguf and transformers take seconds a file, or refuse formats before any is named.
"""

import mmap
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError

# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: its shape in torch's order, and the format of its numbers, as ``Q4_1``."""

    name: str
    shape: tuple[int, ...]
    format: str


@dataclass(frozen=True)
class Header:
    """The head of a file: its settings by name, and its tensors."""

    settings: dict[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """Return what llama.cpp calls the architecture."""
        return str(self.settings.get("general.architecture", ""))

    @cached_property
    def formats(self) -> dict[str, int]:
        """Return how many tensors are stored in each format, the most frequent first."""
        return dict(Counter(tensor.format for tensor in self.tensors).most_common())

    def of_architecture(self) -> dict[str, Any]:
        """Return the settings of the architecture, without its name before them."""
        start = f"{self.architecture}."
        return {key.removeprefix(start): value for key, value in self.settings.items() if key.startswith(start)}


def is_gguf(path: str | Path) -> bool:
    """Return whether a path is that of a GGUF file here."""
    return Path(path).suffix.lower() == ".gguf" and Path(path).is_file()


def read_header(path: str | Path) -> Header:
    """Read a file's head; no weights.

    Raises:
        BadInputError: when the file is no whole GGUF file.
    """
    status = Path(path).stat()
    return _read(str(path), status.st_size, status.st_mtime_ns)


def refuse_in_vllm(path: str | Path, setting: str) -> None:
    """Stop where vLLM would read a GGUF file: by a reader of its own, with none of the checks here.

    Raises:
        BadInputError: with how to make a folder that both read alike.
    """
    if is_gguf(path):
        raise BadInputError(
            f"{setting}: vLLM would read the GGUF file {path} differently from crosstune. Convert it to a folder "
            f"first: crosstune export {path} FOLDER"
        )


@lru_cache(maxsize=4)
def _read(path: str, size: int, _changed: int) -> Header:
    with open(path, "rb") as file:
        start = file.read(8)
        if start.startswith(b"version "):
            raise BadInputError(f"{path} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`")
        if not start.startswith(b"GGUF"):
            raise BadInputError(
                f"{path} is not a GGUF file: it starts with {start[:4]!r} instead of b'GGUF'. Download it again"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _parse(content, path, size)
            except (struct.error, UnicodeDecodeError, OverflowError, MemoryError, KeyError):
                raise BadInputError(_cut(path, size)) from None


def _parse(content: mmap.mmap, path: str, size: int) -> Header:
    cursor = _Cursor(content)
    cursor.position = 4
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise BadInputError(
            f"{path} says GGUF version {version}; supported are {', '.join(map(str, _VERSIONS))} (little endian). "
            f"Convert the model again with a current llama.cpp"
        )
    num_tensors, num_settings = cursor.number("Q"), cursor.number("Q")
    settings: dict[str, Any] = {}
    for _ in range(num_settings):
        key = cursor.text()
        settings[key] = cursor.value(cursor.number("I"))
    tensors, end = [], 0
    for _ in range(num_tensors):
        tensor, past = cursor.tensor(path)
        tensors.append(tensor)
        end = max(end, past)
    alignment = int(settings.get("general.alignment", _DEFAULT_ALIGNMENT))
    begin = -(-cursor.position // alignment) * alignment
    if not tensors or begin + end > size:
        raise BadInputError(_cut(path, size, begin + end))
    return Header(settings, tuple(tensors))


def _cut(path: str, size: int, whole: int | None = None) -> str:
    found = f"{size:,} bytes" if whole is None else f"{size:,} bytes, but its head says at least {whole:,}"
    return f"{path} is not a complete GGUF file ({found}): it is cut off or damaged. Copy it again"


class _Cursor:
    """A place in a file, read from there on."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.position = content, 0

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.content, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def text(self) -> str:
        length = self.number("Q")
        if self.position + length > len(self.content):
            raise struct.error
        self.position += length
        return self.content[self.position - length : self.position].decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        of, length = self.number("I"), self.number("Q")
        if of in (_STRING, _ARRAY):
            return [self.value(of) for _ in range(length)]
        code = f"<{length}{_NUMBERS[of]}"
        values = struct.unpack_from(code, self.content, self.position)
        self.position += struct.calcsize(code)
        return list(values)

    def tensor(self, path: str) -> tuple[Tensor, int]:
        """Return a tensor of the table, and where its numbers end, from where those of all begin."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        name, num_dimensions = self.text(), self.number("I")
        # ggml names the fastest dimension first.
        shape = tuple(reversed([self.number("Q") for _ in range(num_dimensions)]))
        kind, offset = self.number("I"), self.number("Q")
        try:
            known = GGMLQuantizationType(kind)
        except ValueError:
            raise BadInputError(
                f"{path} stores {name} in the format {kind}, which the installed gguf does not know. Update gguf, or "
                "give the model in another quantization"
            ) from None
        num_elements = 1
        for length in shape:
            num_elements *= length
        block, num_bytes = GGML_QUANT_SIZES[known]
        return Tensor(name, shape, known.name), offset + num_elements // block * num_bytes
