"""A model as the self-test reads it: windows that its short rows cross, and the first few thousand pieces alone.

How rows are kept apart depends on no piece. The head over all of them, and the gradient of its matrix, would be most of
what the test costs: of SmolLM2-135M a fifth of its products, of Gemma 3 270M nearly all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from crosstune.models.half_weights import HalfLinear
from crosstune.models.layers import inner_model

# What limits how far a token looks, and is made so short that the test's rows cross it: windows, chunks, and the place
# from which on attention is sharper.
_LIMITS = dict.fromkeys(
    ("sliding_window", "sliding_window_size", "attention_window_size", "attention_chunk_size", "floor_scale"), 6
)
# Of these the logits are compared, too, where a model keeps more.
NUM_PIECES = 4096


@contextmanager
def shortened(model: nn.Module) -> Iterator[None]:
    """Let a model be as the self-test reads it, while in this context; ``model`` may be wrapped, and have adapters."""
    with _short_windows(model), _few_pieces(model):
        yield


@contextmanager
def _short_windows(model: nn.Module) -> Iterator[None]:
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    before: list[tuple[Any, str, int]] = []
    for holder in (*configs.values(), *model.modules()):
        for name, shorter in _LIMITS.items():
            size = vars(holder).get(name)
            if isinstance(size, int) and size > shorter:
                before.append((holder, name, size))
                setattr(holder, name, shorter)
    try:
        yield
    finally:
        for holder, name, size in before:
            setattr(holder, name, size)


@contextmanager
def _few_pieces(trained: nn.Module) -> Iterator[None]:
    model: Any = inner_model(trained)
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    before: list[tuple[nn.Module, str, nn.Parameter]] = []
    padding = getattr(table, "padding_idx", None)
    if _can_be_cut(table, head):
        cut = {id(weight): _first(weight) for part in (table, head) for weight in part.parameters(recurse=False)}
        # Tied matrices stay one, whoever else holds them.
        before = [
            (part, name, weight)
            for part in trained.modules()
            for name, weight in part._parameters.items()
            if weight is not None and id(weight) in cut
        ]
        for part, name, weight in before:
            part._parameters[name] = cut[id(weight)]
        if padding is not None and padding >= NUM_PIECES:
            table.padding_idx = None
    try:
        yield
    finally:
        for part, name, weight in before:
            part._parameters[name] = weight
        if padding is not None:
            table.padding_idx = padding


def _can_be_cut(table: Any, head: Any) -> bool:
    """Return whether both are plain matrices of many pieces: what wraps them may ask for pieces by their number."""
    if not isinstance(table, nn.Embedding) or type(head) not in (nn.Linear, HalfLinear):
        return False
    weights = [*table.parameters(recurse=False), *head.parameters(recurse=False)]
    is_plain = all(type(weight) is nn.Parameter and not weight.is_inference() for weight in weights)
    return is_plain and all(weight.ndim and len(weight) > NUM_PIECES for weight in weights)


def _first(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(weight.detach()[:NUM_PIECES], requires_grad=weight.requires_grad)
