"""Numbers in a model's configuration that no model can have: told by name, before anything is built of them."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

# As transformers calls them in every architecture; an architecture may write them under names of its own.
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "sliding_window",
)
_MOST_LAYERS = 10_000
_SHARE = re.compile(r"dropout(_prob|_rate|_p)?$|_pdrop$|layerdrop$")
_EPSILON = re.compile(r"(norm|^)_?eps(ilon)?$")
_ABOVE_ZERO = re.compile(r"(^|_)theta$|^rotary_(pct|emb_base)$|rope_local_base_freq$|^(low|high)_freq_factor$")
_MOST_EPSILON = 0.1
_ROPE = ("rope_parameters", "rope_scaling")


def number_faults(content: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield each number that no model can have; ``names`` are an architecture's own, by those of transformers."""
    for key in _SIZES:
        # Switched off, a window says nothing: Qwen2 leaves the number there.
        if key == "sliding_window" and content.get("use_sliding_window") is False:
            continue
        name = key if key in content else names.get(key, key)
        # Some architectures say by a 0 that the width of a head follows from others.
        if (fault := _fault_of_size(content.get(name), 0 if key == "head_dim" else 1)) is not None:
            yield _told(name, content[name], fault)
    layers = names.get("num_hidden_layers", "num_hidden_layers")
    if _is_number(number := content.get(layers)) and number > _MOST_LAYERS:
        yield _told(layers, number, f"has to be at most {_MOST_LAYERS:,}")
    for name, number in _numbers(content):
        if (fault := _fault_of(name.rpartition(".")[2], name, number)) is not None:
            yield _told(name, number, fault)


def _told(name: str, found: Any, fault: str) -> str:
    return f"its configuration says {name} {found!r}, which {fault}. Copy it from the original model"


def _fault_of_size(size: Any, least: int) -> str | None:
    # Lists of sizes, one for each layer, and what is left open are for the architecture to judge.
    if not isinstance(size, bool | int | float | str):
        return None
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= least
    return None if is_size else f"has to be at least {least}, a whole number"


def _fault_of(key: str, name: str, number: float) -> str | None:
    if math.isnan(number):
        return "is no number"
    if _SHARE.search(key) and not 0 <= number < 1:
        return "has to be at least 0 and below 1"
    if _EPSILON.search(key) and not 0 <= number <= _MOST_EPSILON:
        return f"has to lie between 0 and {_MOST_EPSILON}"
    if _ABOVE_ZERO.search(key) and not 0 < number < math.inf:
        return "has to be above 0, and finite"
    if key == "factor" and name.split(".")[0] in _ROPE and not 1 <= number < math.inf:
        return "has to be at least 1, and finite"
    return None


def _numbers(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}.")
        elif _is_number(value):
            yield name, value


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def beyond_the_weights(content: Mapping[str, Any], num_tensors: int, num_numbers: int) -> Iterator[str]:
    """Yield sizes that cannot be of these weights, so that nothing of such a size is built to find that out."""
    most = {"num_hidden_layers": num_tensors, "vocab_size": num_numbers, "hidden_size": num_numbers}
    most |= dict.fromkeys(("intermediate_size", "head_dim", "num_attention_heads"), num_numbers)
    for key, limit in most.items():
        size = content.get(key)
        if _is_number(size) and size > limit:
            yield (
                f"its config.json says {key} {size:,}, but its weights are {num_tensors:,} tensors with "
                f"{num_numbers:,} numbers in all. Copy config.json and weights from the same model"
            )
