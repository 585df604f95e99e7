"""The heads of a model's attention: as many and as large in each layer, layer by layer (Gemma 4), or none (Mamba)."""

from typing import Any


def head_sizes(config: Any) -> list[int]:
    """Return the size of a head in each layer; nothing of a model without attention."""
    return [_size(layer) for layer in _layers(config)]


def attention_width(config: Any) -> int:
    """Return the sizes of all heads of all layers together."""
    return sum(int(layer.num_attention_heads) * _size(layer) for layer in _layers(config))


def _layers(config: Any) -> list[Any]:
    """Return a configuration for each layer: transformers refuses to read from the whole what differs in layers."""
    if getattr(config, "is_heterogeneous", False):
        return list(config.per_layer_config)
    return [config] * int(config.num_hidden_layers) if getattr(config, "num_attention_heads", None) else []


def _size(layer: Any) -> int:
    return int(getattr(layer, "head_dim", None) or layer.hidden_size // layer.num_attention_heads)
