"""A small model of an architecture, drawn at random: what can be tested of a model whose weights are not at hand."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from crosstune.models.layers import layers_of
from crosstune.models.plain import plain_logits
from crosstune.models.plain_rows import rows_of
from crosstune.models.self_test import READ, amplify
from crosstune.models.shapes import shapes_only
from crosstune.runs.provenance import free_memory

_VOCABULARY, _INNER = 512, 256
_LEAST_LAYERS = 2
# As many as the largest number that a token is sent to.
_MOST_EXPERTS = 16
_EXPERTS = re.compile(r"(^|_)(num|n)_((?!shared).)*experts$")
# Two layers of a model of 70 billion weights: half a minute on two cores.
_MOST_WEIGHTS = 6e8
# Weights and gradients in float32, the copy that loading makes, and what the rows need.
BYTES_PER_WEIGHT = 4 * 3
# Sizes of feed-forward layers: they decide nothing about how rows are kept apart, and most of the weights.
_LAYER_COUNTS = ("num_hidden_layers", "num_blocks", "depth")
_INNER_SIZES = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")


class NoSmallCopyError(Exception):
    """A copy that reads a row has more weights than there is room for."""


def most_weights(device: torch.device | None = None) -> float:
    """Return how many weights a copy may have: what fits into memory, here and on the device, and half a minute."""
    free = free_memory()
    if device is not None and device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])
    return min(_MOST_WEIGHTS, free / BYTES_PER_WEIGHT)


def small_copy(config: PreTrainedConfig, max_weights: float) -> PreTrainedModel:
    """Return a model with a configuration's kinds of layers and heads, but few of them, and few pieces and experts.

    Where so much less makes no model that reads a row, more is kept, up to the whole configuration. What transformers
    raises for the whole one goes on to the caller.

    Args:
        config: of a text model.
        max_weights: how many there is room for.

    Raises:
        NoSmallCopyError: when what is needed has more weights, with what was tried.
    """
    tried = ""
    for content, is_whole in _candidates(config):
        try:
            num_weights = _num_weights(_on_meta(config, content))
            if num_weights > max_weights:
                raise NoSmallCopyError(
                    f"a copy would have {num_weights / 1e6:,.0f}M weights, and there is room for "
                    f"{max_weights / 1e6:,.0f}M{tried}"
                )
            model = _drawn(config, content)
            if is_whole or _reads(model):
                return model
        except NoSmallCopyError:
            raise
        # What an architecture says of sizes that do not go together is as manifold as architectures.
        except Exception as error:
            if is_whole:
                raise
            tried = tried or f"; a smaller one fails ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
    raise AssertionError("the whole configuration is the last one")


def _candidates(config: PreTrainedConfig) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield configurations from the smallest on, and whether each is the whole one."""
    whole = config.to_dict()
    few_pieces = with_few_pieces(whole)
    for content in (with_small_layers(few_pieces), few_pieces):
        # Which layers are of a kind of their own cannot be told of every architecture.
        with suppress(Exception):
            yield with_few_layers(config, content), False
    # Where layers are counted in a place of their own, as in parts.
    yield with_small_layers(few_pieces), False
    yield few_pieces, False
    yield whole, True


def _drawn(config: PreTrainedConfig, content: dict[str, Any]) -> PreTrainedModel:
    # What else is drawn in this process stays as it would be without the copy.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = _model(_config(config, content))
    amplify(model)
    model.train(False)
    return model


def _reads(model: PreTrainedModel) -> bool:
    rows = rows_of(model)
    with torch.no_grad():
        return bool(plain_logits(model, rows[:1], READ[:1], "one by one").isfinite().any())


def _num_weights(model: PreTrainedModel) -> int:
    return sum(weight.numel() for weight in model.parameters())


def copy_at_hand(config: PreTrainedConfig, device: torch.device | None = None) -> PreTrainedModel | None:
    """Return a small copy, where one of few weights can be made that a device has room for."""
    try:
        return small_copy(config, most_weights(device))
    # What raises there is as manifold as architectures. Training tests the model itself when it begins.
    except Exception:
        return None


def with_few_pieces(content: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with a small vocabulary, and its token ids within that."""
    size = min(_VOCABULARY, int(content.get("vocab_size", _VOCABULARY)))
    changed = dict(content)
    for name, value in content.items():
        if "vocab" in name and isinstance(value, int) and value > size:
            changed[name] = size
        elif _is_config(value):
            changed[name] = with_few_pieces(value)
        elif name.endswith("token_id"):
            changed[name] = _within(value, size)
    return changed


def with_small_layers(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a configuration with widths that a test can afford."""
    changed = dict(content)
    for name, value in content.items():
        if any(inner in name for inner in _INNER_SIZES):
            changed[name] = [_at_most(one, _INNER) for one in value] if isinstance(value, list) else value
            changed[name] = _at_most(changed[name], _INNER)
        elif _EXPERTS.search(name):
            changed[name] = _at_most(value, _MOST_EXPERTS)
        elif _is_config(value):
            # Of a part: an encoder of pictures or bytes.
            few = {key: _at_most(value[key], _LEAST_LAYERS) for key in _LAYER_COUNTS if key in value}
            changed[name] = with_small_layers({**value, **few})
    return changed


def _is_config(value: Any) -> bool:
    return isinstance(value, dict) and "model_type" in value


def _within(value: Any, size: int) -> Any:
    """Return ids of tokens that a smaller vocabulary has."""
    if isinstance(value, list):
        return [_within(one, size) for one in value]
    return value % size if isinstance(value, int) and value >= size else value


def _at_most(value: Any, most: int) -> Any:
    return min(most, value) if isinstance(value, int) and value > 0 else value


def _num_needed(model: PreTrainedModel) -> int:
    """Return how many of the first layers hold one of each kind, and at least two."""
    config: Any = model.config
    layers = layers_of(model)
    kinds = getattr(config, "layer_types", None) or [None] * len(layers)
    signatures = [(kind, *_parts(layer)) for kind, layer in zip(kinds, layers, strict=False)]
    first = {signature: index for index, signature in reversed(list(enumerate(signatures)))}
    return min(len(layers), max(_LEAST_LAYERS, 1 + max(first.values(), default=0)))


def _parts(layer: torch.nn.Module) -> Iterator[tuple[str, str]]:
    yield from ((name, type(part).__name__) for name, part in layer.named_modules())


def with_few_layers(config: PreTrainedConfig, content: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with one layer of each kind; what has an entry for each layer is cut."""
    before, after = int(config.num_hidden_layers), _num_needed(_on_meta(config, content))
    changed = {
        name: value[:after]
        if isinstance(value, list) and len(value) == before
        else after
        if name in _LAYER_COUNTS and value == before
        else {key: one for key, one in value.items() if int(key) < after}
        if isinstance(value, dict) and value and all(str(key).isdigit() for key in value)
        else value
        for name, value in content.items()
    }
    return {**changed, "num_hidden_layers": after}


def _config(config: PreTrainedConfig, content: dict[str, Any]) -> PreTrainedConfig:
    return type(config).from_dict({name: value for name, value in content.items() if name != "dtype"})


def _model(config: PreTrainedConfig) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    return model


def _on_meta(config: PreTrainedConfig, content: dict[str, Any]) -> PreTrainedModel:
    with shapes_only():
        return _model(_config(config, content))
