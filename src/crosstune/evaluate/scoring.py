"""Log-likelihoods of continuations: contexts shared by several endings are computed once, the head where it is read."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.evaluate import ranks
from crosstune.models import packing
from crosstune.models.finite import NotFiniteError
from crosstune.models.float64 import in_float64
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.kernels.skip_unused_positions import skip_unread_positions
from crosstune.models.logits import packed_logit_parts
from crosstune.models.paths import way_of
from crosstune.models.pieces import refuse_pieces_without_row
from crosstune.models.plain import Way, plain_logits

# Logits of one batch: 2**27 float32 numbers are 512 MB, 2,896 positions of a vocabulary of 46,336.
MAX_LOGITS = 2**27
Array = NDArray[Any]


@dataclass(frozen=True)
class ScoredPair:
    """Token ids of a context (at least one) and of the continuation that is scored (at least one)."""

    context: list[int]
    continuation: list[int]

    def row(self, max_length: int) -> list[int]:
        """Return what the model reads: without the last token, and cut from the left to ``max_length``."""
        return (self.context + self.continuation)[-(max_length + 1) :][:-1]


@dataclass(frozen=True)
class Likelihood:
    """The continuation's log-probability in nats, and whether greedy decoding would have written it."""

    log_probability: float
    is_greedy: bool


def log_likelihoods(
    model: PreTrainedModel,
    pairs: Sequence[ScoredPair],
    max_length: int,
    batch_tokens: int,
    answered: Callable[[Sequence[int], Sequence[Likelihood]], None] = lambda _indices, _answers: None,
) -> list[Likelihood]:
    """Score continuations, in the order given; ``answered`` is told of each batch as it is done.

    Raises:
        NotFiniteError: for weights or logits that give no finite log-probability.
        BadInputError: for a token that the model has no row for.
    """
    for pair in pairs:
        if not pair.context or not 0 < len(pair.continuation) <= max_length:
            raise BadInputError(
                f"cannot score {len(pair.continuation)} continuation tokens after {len(pair.context)} context tokens: "
                f"the model needs at least one of each and reads at most {max_length}. Of an answer nothing is left "
                "where the tokenizer merges it with the end of its question: score with another tokenizer or task"
            )
    refuse_pieces_without_row(model, (side for pair in pairs for side in (pair.context, pair.continuation)), "scoring")
    mine = share_of_this_process(pairs)
    way = way_of(model, "scoring", max((len(pair.row(max_length)) for pair in pairs), default=0))
    results: dict[int, Likelihood] = {}
    with skip_unread_positions(model), lean_layers(model):
        for batch in _batches([pairs[index] for index in mine], max_length, batch_tokens, _max_scored(model)):
            places = [mine[index] for index in batch]
            asked = [pairs[place] for place in places]
            scored = (
                score_pairs(model, asked, max_length)
                if way == "packed"
                else _score_alone(model, asked, max_length, way)
            )
            results.update(zip(places, scored, strict=True))
            if not all(math.isfinite(one.log_probability) for one in scored):
                break  # not an error yet: the other processes wait for this one where results are gathered
            answered(places, scored)
    results = ranks.gather(results)
    bad = [index for index, one in results.items() if not math.isfinite(one.log_probability)]
    if bad:
        raise NotFiniteError(min(bad), results[min(bad)].log_probability)
    return [results[index] for index in range(len(pairs))]


def _max_scored(model: PreTrainedModel) -> int:
    return MAX_LOGITS // int(model.config.get_text_config(decoder=True).vocab_size)


def share_of_this_process(pairs: Sequence[ScoredPair]) -> list[int]:
    """Return the indices of this process's pairs: those of one context stay together, and so computed once."""
    by_context: dict[tuple[int, ...], list[int]] = {}
    for index, pair in enumerate(pairs):
        by_context.setdefault(tuple(pair.context), []).append(index)
    groups = list(by_context.values())
    sizes = [len(pairs[group[0]].context) + sum(len(pairs[i].continuation) for i in group) for group in groups]
    return sorted(index for place in ranks.share(sizes) for index in groups[place])


def _batches(pairs: Sequence[ScoredPair], max_length: int, batch_tokens: int, max_scored: int) -> Iterator[list[int]]:
    """Yield indices of pairs in the order of their tokens, so that those of one context lie together."""
    rows = [pair.row(max_length) for pair in pairs]
    order = sorted(range(len(pairs)), key=lambda index: rows[index])
    batch: list[int] = []
    tokens = scored = 0
    for place, index in enumerate(order):
        before = rows[order[place - 1]] if batch else []
        new_tokens = len(rows[index]) - _common_prefix(before, rows[index])
        new_scored = len(pairs[index].continuation)
        if batch and (tokens + new_tokens > batch_tokens or scored + new_scored > max_scored):
            yield batch
            batch, tokens, scored = [], 0, 0
            new_tokens = len(rows[index])
        batch.append(index)
        tokens, scored = tokens + new_tokens, scored + new_scored
    if batch:
        yield batch


def _common_prefix(left: list[int], right: list[int]) -> int:
    shortest = min(len(left), len(right))
    return next((place for place in range(shortest) if left[place] != right[place]), shortest)


@torch.inference_mode()
def score_pairs(model: PreTrainedModel, pairs: list[ScoredPair], max_length: int) -> list[Likelihood]:
    """Return the likelihoods of pairs that go through the model as one batch, packed."""
    layout = packing.lay_out([pair.row(max_length) for pair in pairs], share_prefixes=True, device=model.device)
    positions = np.concatenate(
        [path[-len(pair.continuation) :] for pair, path in zip(pairs, layout.token_positions, strict=True)]
    )
    # Endings of one context are all predicted from its last token: each position's logits are computed once.
    read, rows = np.unique(positions, return_inverse=True)
    parts = packed_logit_parts(model, layout, read)
    targets = np.array([token for pair in pairs for token in pair.continuation])
    log_probabilities, greedy = look_up(parts, rows, targets)
    ends = list(accumulate((len(pair.continuation) for pair in pairs), initial=0))
    return [
        Likelihood(float(log_probabilities[first:last].sum()), bool(greedy[first:last].all()))
        for first, last in pairwise(ends)
    ]


@torch.inference_mode()
def _score_alone(model: PreTrainedModel, pairs: list[ScoredPair], max_length: int, way: Way) -> list[Likelihood]:
    """Score pairs by rows as plain transformers reads them; those with equal rows are read once."""
    by_row: dict[tuple[int, ...], list[int]] = {}
    for index, pair in enumerate(pairs):
        by_row.setdefault(tuple(pair.row(max_length)), []).append(index)
    found: list[Likelihood | None] = [None] * len(pairs)
    for row, members in by_row.items():
        num_read = max(len(pairs[member].continuation) for member in members)
        first = len(row) - num_read
        logits = plain_logits(model, [row], [np.arange(first, len(row))], way).float()
        for member in members:
            targets = np.array(pairs[member].continuation)
            places = np.arange(num_read - len(targets), num_read)
            log_probabilities, greedy = look_up([logits], places, targets)
            found[member] = Likelihood(float(log_probabilities.sum()), bool(greedy.all()))
    return [one for one in found if one is not None]


def look_up(parts: Iterable[Tensor], rows: Array, targets: Array) -> tuple[Array, Array]:
    """Return each target's log-probability, and whether it is the likeliest piece; of equal ones the first one is.

    Parts: [rows, some pieces] each, all pieces together; rows and targets: the row and the piece that are asked of.

    Four pieces of equal probability but the last, in two parts; pieces 3 and 0 of the only row are asked for:

    >>> log_probabilities, greedy = look_up(
    ...     [torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])], np.array([0, 0]), np.array([3, 0])
    ... )
    >>> np.exp(log_probabilities).round(3).tolist(), greedy.tolist()
    ([0.475, 0.175], [True, False])
    """
    logits, is_best, part_of = np.empty(len(targets)), np.empty(len(targets), bool), np.empty(len(targets), np.int64)
    largest, normalizers, first = [], [], 0
    for number, part in enumerate(parts):
        (inside,) = np.nonzero((first <= targets) & (targets < first + part.shape[1]))
        own = part.index_select(0, torch.from_numpy(rows[inside]).to(part.device))
        places = torch.from_numpy(targets[inside] - first).to(part.device)
        logits[inside] = own.gather(1, places[:, None]).squeeze(1).cpu().numpy()
        is_best[inside] = (own.argmax(1) == places).cpu().numpy()
        part_of[inside] = number
        largest.append(part.amax(1))
        # A third of the time of exponentials and sums one after the other: torch's kernel does all while it passes.
        normalizers.append(largest[-1] - part.log_softmax(1).amax(1))
        first += part.shape[1]
    best_part = torch.stack(largest).argmax(0).cpu().numpy()
    normalizer = in_float64(torch.stack(normalizers).logsumexp(0)).cpu().numpy()
    return logits - normalizer[rows], is_best & (best_part[rows] == part_of)
