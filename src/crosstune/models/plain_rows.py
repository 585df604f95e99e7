"""What plain transformers makes of the self-test's rows: computed once for a model as it is.

Training, scoring and generation are each held against it. It is most of what their tests cost, and the same for all.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from crosstune.models.layers import inner_model
from crosstune.models.plain import plain_logits
from crosstune.models.shortened import NUM_PIECES

# Two rows with a beginning of their own, and one that is alone. Lengths are multiples of 16, as products in eight bits
# want them.
NUM_SHARED = 10
LENGTHS = (16, 16, 16)
# Products with 16 rows take half as long again as a third of those with 48. Architectures that read rows of a batch
# otherwise than alone are found in models of few weights.
LARGE = 2**25
_KEPT = "_crosstune_plain_rows"


@dataclass
class PlainRows:
    """The rows, and what was computed of every place in them.

    Attributes:
        log_probabilities: of some pieces, [places, pieces].
        largest: the largest logit at each place.
        is_readable: whether it was looked at, and holds numbers that do not depend on what follows.
    """

    rows: list[list[int]]
    log_probabilities: Tensor
    largest: Tensor
    is_readable: bool = False
    _moved: Tensor | None = None

    def rounded_otherwise(self, model: nn.Module, digit: float) -> Tensor:
        """Return the same log-probabilities where the last digit of the embeddings is another: what rounding does."""
        if self._moved is None:
            self._moved = _rounded_otherwise(model, self.rows, digit)
        return self._moved


def places_in(rows: Sequence[Sequence[int]], read: Sequence[np.ndarray]) -> Tensor:
    """Return where places in each row stand among those of all rows."""
    starts = np.cumsum([0, *map(len, rows)])
    return torch.from_numpy(np.concatenate([start + of for start, of in zip(starts, read, strict=False)]))


def plain_rows(model: nn.Module, digit: float, logits: Tensor | None = None) -> PlainRows:
    """Return it, from before where no weight has changed since.

    Args:
        model: as it is called.
        digit: what products round a one by.
        logits: of every place, where they are known.
    """
    stamp, kept = _stamp(model, digit), vars(model).get(_KEPT)
    if kept is not None and stamp is not None and kept[0] == stamp:
        return kept[1]  # type: ignore[no-any-return]
    rows = rows_of(inner_model(model))
    with torch.no_grad():
        known = logits_of(model, rows) if logits is None else logits
        made = PlainRows(rows, log_probabilities_of(known), known.abs().amax(dim=1).float())
    vars(model)[_KEPT] = stamp, made
    return made


def logits_of(model: nn.Module, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the logits at every place of rows of one length, [places of all rows, pieces].

    They are read one by one, and by a large model as one batch, which needs no padding.
    """
    is_large = sum(weight.numel() for weight in model.parameters()) > LARGE
    read = [np.arange(len(row)) for row in rows]
    # The fused kernel of CPUs takes five times as long for so few keys where products run through oneDNN.
    fewer = sdpa_kernel(SDPBackend.MATH) if inner_model(model).device.type == "cpu" else nullcontext()
    with fewer:
        return plain_logits(model, rows, read, "right-padded" if is_large else "one by one")


def log_probabilities_of(logits: Tensor) -> Tensor:
    """Return the log-probabilities of some pieces, [places, pieces], in float32."""
    step = max(1, logits.shape[1] // NUM_PIECES)
    return logits.float().log_softmax(dim=1)[:, ::step]


def largest_difference(left: Tensor, right: Tensor) -> float:
    """Return the largest difference, infinite where something is no number."""
    return float((left - right).abs().nan_to_num(nan=math.inf).max()) if left.shape == right.shape else math.inf


def rows_of(model: PreTrainedModel) -> list[list[int]]:
    """Return the token rows of the test, of ordinary pieces of the model."""
    config: Any = model.config.get_text_config(decoder=True)
    size = min(int(config.vocab_size), _num_embeddings(model))
    # Of images and the like models expect more than their token.
    special = {
        value
        for name, value in {**vars(model.config), **vars(config)}.items()
        if name.endswith("token_id") and isinstance(value, int)
    }
    generator = np.random.default_rng(1)
    ordinary = [piece for piece in generator.permutation(size)[:256].tolist() if piece not in special] or [0]
    first, second, third = (
        [ordinary[place] for place in generator.integers(len(ordinary), size=length)] for length in LENGTHS
    )
    return [first, first[:NUM_SHARED] + second[NUM_SHARED:], third]


def _num_embeddings(model: Any) -> int:
    table = model.get_input_embeddings()
    # The table inside adapters: they put a weight together when it is asked for, which split weights do not allow.
    inside = next((part for part in table.modules() if isinstance(part, nn.Embedding)), table)
    return int(inside.weight.shape[0])


@torch.no_grad()
def _rounded_otherwise(model: nn.Module, rows: Sequence[Sequence[int]], digit: float) -> Tensor:
    def round_otherwise(embedding: nn.Module, given: Any, embedded: Tensor) -> Tensor:
        draw = torch.rand(embedded.shape, generator=torch.Generator().manual_seed(1)).to(embedded)
        return embedded * (1 + digit * (2 * draw - 1))

    hook = inner_model(model).get_input_embeddings().register_forward_hook(round_otherwise)
    try:
        return log_probabilities_of(logits_of(model, rows))
    finally:
        hook.remove()


def _stamp(model: nn.Module, digit: float) -> tuple[Any, ...] | None:
    """Return what tells that a model computes as before: each change in place counts a weight's version up."""
    weights = [*model.parameters(), *model.buffers()]
    if any(weight.is_inference() for weight in weights):
        return None
    # Adapters that are switched off change no weight.
    switched_off = sum(bool(vars(part).get("_disable_adapters")) for part in model.modules())
    versions, places = (sum(found) for found in zip(*((w._version, w.data_ptr()) for w in weights), strict=True))
    return digit, versions, places, switched_off, {str(weight.dtype) for weight in weights}
