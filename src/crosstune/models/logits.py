"""Logits of a few thousand pieces at a time: each part is read while it lies in the cache, none is kept in memory."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from crosstune.models.finite import NotFiniteError, is_finite
from crosstune.models.kernels.skip_unused_positions import family_decoder
from crosstune.models.packing import Layout

# One core with AVX-512 and torch's default kernels, 46,336 pieces at once and in parts: 22 and 19 ms for 28 rows of
# 384, 1.24 and 0.92 s for 1,645 rows of 512.
NUM_PIECES = {"cpu": 2048}
# Up to so many rows the weights are the left side of the product: 3 rows, 5 ms in the place of 23.
FEW_ROWS = 8


def logit_parts(model: PreTrainedModel, positions: Tensor | None, **inputs: Any) -> Iterator[Tensor]:
    """Run a model and return its logits in float32, part by part, [positions, some pieces], in the pieces' order.

    ``inputs`` are those of the model's forward. Positions are those of the one row that is read; None are all of all
    rows. Of other families than LLaMA's the logits stand whole in memory, since they may do more than a product.
    """
    decoder = family_decoder(model)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    num_pieces = NUM_PIECES.get(model.device.type, 2**14)
    if decoder is None or type(head) is not nn.Linear or head.bias is not None:
        logits = model(**inputs, logits_to_keep=0 if positions is None else positions).logits.flatten(0, 1)
        return (part.float() for part in logits.split(num_pieces, dim=1))
    states = decoder(**inputs).last_hidden_state.flatten(0, 1)
    if positions is not None:
        states = states.index_select(0, positions)
    weights = head.weight.split(num_pieces)
    if len(states) <= FEW_ROWS:
        return (linear(weight, states).t().float() for weight in weights)
    return (linear(states, weight).float() for weight in weights)


def packed_logit_parts(model: PreTrainedModel, layout: Layout, positions: NDArray[np.int64]) -> Iterator[Tensor]:
    """Run a model on a packed layout and return the logits of some positions of it, part by part, as `logit_parts`."""
    at = torch.from_numpy(positions).to(model.device)
    return logit_parts(
        model,
        at,
        input_ids=layout.input_ids,
        position_ids=layout.position_ids,
        use_cache=False,
        packed_layout=layout,
        read_positions=at,
    )


def likeliest(parts: Iterable[Tensor]) -> list[int]:
    """Return the piece with the largest logit at each position, of equal ones the first.

    Raises:
        NotFiniteError: with the first position whose largest logit is NaN or infinite.
    """
    kept = list(parts)
    # torch looks for a largest number's place twenty times as long as for the number: so only where it stands.
    largest, winners = torch.stack([part.amax(1) for part in kept]).max(0)
    if not is_finite(largest):
        raise NotFiniteError(int((~largest.isfinite()).nonzero()[0]))
    pieces = torch.empty_like(winners)
    for number, part in enumerate(kept):
        (rows,) = (winners == number).nonzero(as_tuple=True)
        pieces[rows] = part.index_select(0, rows).argmax(1) + number * kept[0].shape[1]
    return pieces.tolist()
