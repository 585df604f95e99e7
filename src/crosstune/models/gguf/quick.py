"""Let transformers read a GGUF file in a fraction of the time, by leaving out what is read from it elsewhere.

gguf takes seconds for the texts of a vocabulary, which `tokenizer` builds from the header, and transformers asks it for
the names of all layers' tensors once for each module: two thirds of the time of loading a small model.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from transformers import modeling_gguf_pytorch_utils

# More than there are layers, heads or sections: such lists are a tokenizer's.
_MANY = 4096
_STRING, _ARRAY = 8, 9


@contextmanager
def quick_reading() -> Iterator[None]:
    """Let transformers read GGUF files quickly and without a bar of its own, while in this context.

    Of lists of thousands of entries it gets the length, and the first entry in the place of each.
    """
    import gguf

    # It does not ask whether bars are wanted.
    places: list[tuple[Any, str, Any]] = [
        (gguf, "GGUFReader", _lean_reader(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        (modeling_gguf_pytorch_utils, "tqdm", partial(_tqdm(), disable=True)),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def _tqdm() -> Any:
    module: Any = modeling_gguf_pytorch_utils
    return module.tqdm


@cache
def _lean_reader(reader: Any) -> Any:
    class LeanReader(reader):  # type: ignore[misc]
        """Passes over long lists."""

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
            if raw_type == _ARRAY:
                kind, length = struct.unpack_from("<IQ", self.data, orig_offs)
                if length > _MANY and kind != _ARRAY:
                    return self._first_of(orig_offs, kind, length)
            return super()._get_field_parts(orig_offs, raw_type)  # type: ignore[no-any-return]

        def _first_of(self, start: int, kind: int, length: int) -> tuple[int, list[Any], list[int], list[Any]]:
            begin = start + struct.calcsize("<IQ")
            size, parts, places, types = super()._get_field_parts(begin, kind)
            end = self._end_of_texts(begin, length) if kind == _STRING else begin + length * size
            return end - start, parts, places * length, [type(types[0])(_ARRAY), *types]

        def _end_of_texts(self, position: int, length: int) -> int:
            for _ in range(length):
                position += 8 + struct.unpack_from("<Q", self.data, position)[0]
            return position

    return LeanReader
