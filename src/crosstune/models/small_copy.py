"""A small model of an architecture, drawn at random: what can be tested of a model whose weights are not at hand."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from crosstune.models.self_test import amplify

_VOCABULARY, _INNER = 512, 256
_LEAST_LAYERS = 2
# Sizes of feed-forward layers: they decide nothing about how rows are kept apart, and most of the weights.
_INNER_SIZES = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")


def small_copy(config: PreTrainedConfig, max_weights: float) -> PreTrainedModel | None:
    """Return a model with a configuration's kinds of layers and heads, but few of them, and few pieces.

    None where even that has more weights than ``max_weights``. Whatever transformers raises for a configuration that
    cannot be made smaller goes on to the caller.

    Args:
        config: of a text model.
        max_weights: how many there is room for.
    """
    content = _with_few_pieces(config.to_dict())
    whole = _on_meta(config, content)
    num_layers = _num_needed(whole)
    smaller = _with_few_layers(content, int(config.num_hidden_layers), num_layers)
    if sum(weight.numel() for weight in _on_meta(config, smaller).parameters()) > max_weights:
        return None
    torch.manual_seed(0)
    model = _model(_config(config, smaller))
    amplify(model)
    model.train(False)
    return model


def _with_few_pieces(content: dict[str, Any]) -> dict[str, Any]:
    size = min(_VOCABULARY, int(content["vocab_size"]))
    changed = dict(content)
    for name, value in content.items():
        if name.startswith("vocab_size"):
            changed[name] = size
        elif name.endswith("token_id"):
            changed[name] = _within(value, size)
        elif any(inner in name for inner in _INNER_SIZES):
            changed[name] = [min(_INNER, one) for one in value] if isinstance(value, list) else _at_most(value)
    return changed


def _within(value: Any, size: int) -> Any:
    """Return ids of tokens that a smaller vocabulary has."""
    if isinstance(value, list):
        return [_within(one, size) for one in value]
    return value % size if isinstance(value, int) and value >= size else value


def _at_most(value: Any) -> Any:
    return min(_INNER, value) if isinstance(value, int) and value > 0 else value


def _num_needed(model: PreTrainedModel) -> int:
    """Return how many of the first layers hold one of each kind, and at least two."""
    config: Any = model.config
    layers = max((part for part in model.modules() if isinstance(part, torch.nn.ModuleList)), key=len)
    kinds = getattr(config, "layer_types", None) or [None] * len(layers)
    signatures = [(kind, *_parts(layer)) for kind, layer in zip(kinds, layers, strict=False)]
    first = {signature: index for index, signature in reversed(list(enumerate(signatures)))}
    return min(len(layers), max(_LEAST_LAYERS, 1 + max(first.values(), default=0)))


def _parts(layer: torch.nn.Module) -> Iterator[tuple[str, str]]:
    yield from ((name, type(part).__name__) for name, part in layer.named_modules())


def _with_few_layers(content: dict[str, Any], before: int, after: int) -> dict[str, Any]:
    """Return a configuration with so many layers; lists with an entry for each layer are cut."""
    changed = {
        name: value[:after] if isinstance(value, list) and len(value) == before else value
        for name, value in content.items()
    }
    return {**changed, "num_hidden_layers": after}


def _config(config: PreTrainedConfig, content: dict[str, Any]) -> PreTrainedConfig:
    return type(config).from_dict({name: value for name, value in content.items() if name != "dtype"})


def _model(config: PreTrainedConfig) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    return model


def _on_meta(config: PreTrainedConfig, content: dict[str, Any]) -> PreTrainedModel:
    with torch.device("meta"):
        return _model(_config(config, content))
