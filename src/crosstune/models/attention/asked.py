"""What a model asks of an attention function beside causal attention: a window, chunks, a cap, sinks. Nothing else."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

# Handed through by models, and without meaning for what is attended to.
_WITHOUT_MEANING = frozenset(
    {
        *("attention_mask", "position_ids", "cache_position", "position_embeddings", "past_key_values", "layer_idx"),
        *("cache", "use_cache", "return_dict", "output_attentions", "output_hidden_states", "output_router_logits"),
        *("num_items_in_batch", "read_positions", "packed_layout", "slots_seen", "logits_to_keep"),
    }
)
_UNDERSTOOD = frozenset({"sliding_window", "softcap", "s_aux", "is_causal", "dropout", "scaling"})


@dataclass(frozen=True)
class Span:
    """Which of the tokens before it a token attends to, by positions along its row.

    Attributes:
        window: only the last so many, itself included; all if None.
        chunk: only those of its own stretch of so many; all if None.
    """

    window: int | None = None
    chunk: int | None = None

    def within(self, longest: int) -> "Span":
        """Return the span as far as it hides anything in rows of at most so many tokens."""
        window, chunk = (size if size is not None and size < longest else None for size in (self.window, self.chunk))
        return Span(window, chunk)

    def sees(self, query: Any, key: Any) -> Any:
        """Return whether positions see others, of those before them; numbers, arrays or tensors, broadcast."""
        seen = key <= query
        if self.window is not None:
            seen = seen & (key > query - self.window)
        if self.chunk is not None:
            seen = seen & (key // self.chunk == query // self.chunk)
        return seen


EVERYTHING = Span()


@dataclass(frozen=True)
class AttentionRequest:
    """What a layer asks of its attention beside causality.

    Attributes:
        softcap: scores are kept between minus and plus this by a hyperbolic tangent; as they are if None.
        sinks: a score for each head that takes its share of the attention and gives nothing, [heads]; none if None.
    """

    span: Span = EVERYTHING
    softcap: float | None = None
    sinks: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether the scores are as fused kernels compute them."""
        return self.softcap is None and self.sinks is None


def asked_of(module: nn.Module, options: dict[str, Any]) -> AttentionRequest:
    """Return what a layer's call asks for.

    Raises:
        ValueError: when it asks for something that is not understood; left out, it would be wrong in silence.
    """
    known = _WITHOUT_MEANING | _UNDERSTOOD
    unknown = sorted(name for name, value in options.items() if value is not None and name not in known)
    if unknown:
        raise ValueError(
            f"{type(module).__name__} asks its attention for {', '.join(unknown)}, which packed attention does not know"
        )
    if options.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        raise ValueError(f"{type(module).__name__} attends to tokens that follow, which packed attention cannot")
    return AttentionRequest(_span_of(module, options), options.get("softcap"), options.get("s_aux"))


def refuse_mask(module: nn.Module, mask: Tensor | None, ours: Tensor | None = None) -> None:
    """Check that a layer hands its attention no mask but ours: one of its own says more than causality.

    Raises:
        ValueError: when it does, as sparse attention that chooses its tokens by a mask.
    """
    if mask is not None and (ours is None or mask.data_ptr() != ours.data_ptr()):
        raise ValueError(f"{type(module).__name__} hands its attention a mask of its own, which packed attention drops")


def _span_of(module: nn.Module, options: dict[str, Any]) -> Span:
    """Return a layer's window as its call says, or the window or chunk that its configuration names for it."""
    config, number = getattr(module, "config", None), getattr(module, "layer_idx", None)
    kinds = getattr(config, "layer_types", None)
    kind = kinds[number] if kinds and isinstance(number, int) and number < len(kinds) else None
    if kind == "chunked_attention":
        return Span(chunk=getattr(config, "attention_chunk_size", None))
    if options.get("sliding_window") is not None:
        return Span(window=int(options["sliding_window"]))
    if kind == "sliding_attention" and "sliding_window" not in options:
        return Span(window=getattr(config, "sliding_window", None))
    return EVERYTHING
