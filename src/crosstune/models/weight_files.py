"""What is wrong with a model's files of weights, by their headers: no weight is read."""

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosstune.models.config_numbers import beyond_the_weights
from crosstune.models.finite import named
from crosstune.runs.files import KeyTwiceError, parse_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
# Constants that releases of transformers before 2023 saved beside the weights, and that are computed today.
OLD_BUFFERS = re.compile(
    r"(rotary_emb\.inv_freq|(^|\.)(attn|attention|self_attention)\.(masked_)?bias|position_ids|cached_(cos|sin))$"
)
_DTYPES = ("F64", "F32", "F16", "BF16")
_MAX_HEADER_BYTES = 100_000_000


def weight_faults(folder: Path, found: list[str], config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the files of weights among the files ``found`` in a folder, the cause first.

    ``config`` is the configuration of the text model.
    """
    wanted: Any = {}
    if INDEX in found:
        index = json_of(folder / INDEX)
        wanted = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(wanted, dict) or not wanted:
            yield f"{INDEX} has no weight_map. Download it again"
            return
        if not isinstance(index.get("metadata"), dict):
            yield f'{INDEX} has no metadata, which transformers asks for. Download it again, or add "metadata": {{}}'
        shards = sorted(set(map(str, wanted.values())))
        yield from _shard_faults(folder, shards, found)
    elif WEIGHTS in found:
        shards = [WEIGHTS]
    else:
        yield _without_weights(found)
        return
    headers: dict[str, str] = {}
    num_numbers = 0
    for shard in shards:
        header, fault = _header(folder / shard)
        if fault:
            yield fault
            return
        if twice := [name for name in header if name in headers]:
            yield (
                f"{headers[twice[0]]} and {shard} both hold {named(twice)}; which is meant cannot be known. Copy index "
                "and files again, together"
            )
        headers |= dict.fromkeys(header, shard)
        num_numbers += sum(math.prod(facts["shape"]) for facts in header.values())
        yield from _type_faults(shard, header)
    if astray := [name for name, shard in wanted.items() if headers.get(name) != shard]:
        yield f"{INDEX} names tensors that its files do not hold: {named(astray)}. Copy index and files again, together"
    if wanted and (unnamed := [name for name in headers if name not in wanted]):
        yield f"{INDEX} lacks tensors that its files hold: {named(unnamed)}. Copy index and files again, together"
    yield from beyond_the_weights(config, len(headers), num_numbers)


def _shard_faults(folder: Path, shards: list[str], found: list[str]) -> Iterator[str]:
    if outside := [name for name in shards if Path(name).name != name or name in ("", ".", "..")]:
        yield f"{INDEX} names files outside of the folder: {named(outside)}. Download it again"
    if missing := [name for name in shards if not (folder / name).is_file()]:
        yield f"{INDEX} names {len(shards)} files, of which {len(missing)} are missing: {named(missing)}. Copy them"
    # transformers reads the single file, and never looks at the index.
    if WEIGHTS in found and WEIGHTS not in shards:
        yield (
            f"it holds {WEIGHTS} and {INDEX}, which names other files: the weights of two models, of which one was "
            f"saved over the other. Delete {WEIGHTS}, or {INDEX} with the files that it names"
        )


def _type_faults(shard: str, header: dict[str, Any]) -> Iterator[str]:
    """Yield that weights are no fractions."""
    odd = {
        name: facts["dtype"]
        for name, facts in header.items()
        if facts["dtype"] not in _DTYPES and not _is_mask(name, facts["dtype"])
    }
    if odd:
        yield (
            f"{shard} holds weights of type {', '.join(sorted({*odd.values()}))} ({named(odd)}): they are quantized, "
            f"or no weights. Give the original model, in one of {', '.join(_DTYPES)}"
        )


def _is_mask(name: str, dtype: str) -> bool:
    """Return whether a tensor is one of the masks and counts that checkpoints keep beside their weights."""
    if OLD_BUFFERS.search(name):
        return dtype in ("I64", "U8", "BOOL")
    return dtype in ("I64", "BOOL") and not name.endswith((".weight", ".bias"))


def _without_weights(found: list[str]) -> str:
    if pickled := [name for name in found if name.endswith(PICKLED)]:
        return (
            f"its weights are in {named(pickled)}, a format that can run code when it is opened and is never opened. "
            "Where you trust them, convert them: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW)"
        )
    if others := [name for name in found if name.endswith((".safetensors", ".gguf"))]:
        return (
            f"it has neither {WEIGHTS} nor {INDEX}, but {named(others)}. A model folder has its weights under the "
            "names that save_pretrained gives them; a GGUF file is named itself"
        )
    return f"it has a config.json, but no *.safetensors with weights; found: {', '.join(found)}"


def _header(path: Path) -> tuple[dict[str, Any], str]:
    """Return the tensors that a safetensors file says it holds, and what is wrong with it."""
    if path.is_symlink() and not path.exists():
        return {}, f"{path.name} is a link to {path.readlink()}, which is not there. Download the model again"
    try:
        size, opened = path.stat().st_size, path.open("rb")
    except OSError as error:
        return {}, f"{path.name} cannot be read: {error.strerror}. Copy it again, or correct its permissions"
    with opened as file:
        start = file.read(8)
        if start == b"version ":
            return {}, f"{path.name} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= min(_MAX_HEADER_BYTES, size - 8):
            return {}, _cut(path, size)
        try:
            header = parse_json(file.read(length).decode())
            tensors = {name: facts for name, facts in header.items() if name != "__metadata__"}
            whole = 8 + length + max((facts["data_offsets"][1] for facts in tensors.values()), default=0)
            for facts in tensors.values():
                math.prod(facts["shape"])
        except KeyTwiceError as error:
            return {}, f"the header of {path.name} is not clear: {error}. Save the model again"
        except (ValueError, AttributeError, TypeError, LookupError):
            return {}, _cut(path, size)
    if whole != size:
        return (
            {},
            f"{path.name} has {size:,} bytes, but its header says {whole:,}: it is cut off or damaged. Copy it",
        )
    if not tensors:
        return {}, f"{path.name} holds no tensor. Download it again"
    return tensors, ""


def _cut(path: Path, size: int) -> str:
    return f"{path.name} ({size:,} bytes) is not a complete safetensors file: it is cut off or damaged. Copy it again"


def json_of(path: Path) -> Any:
    """Return what a JSON file holds; None where it is none."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
