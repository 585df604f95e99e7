"""A bilingual dictionary over pieces, learnt from translations: IBM model 1 by expectation maximisation.

Brown et al. 1993, https://aclanthology.org/J93-2003. Written here because the aligners that exist are programs of their
own; over pieces, in numpy, the model is a few lines.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ITERATIONS = 5
# Spread over the mixture. 40,000 pairs of 40 pieces each are 64 million occurrences, about 2 GB.
_MOST_EXAMPLES = 40_000
# Pieces in more than half of the prompts belong to the instruction, or say nothing: they explain, but do not translate.
_COMMON = 0.5
# Translations of less than this share are noise of the estimation.
_LEAST_SHARE = 0.1


_Integers = npt.NDArray[np.int64]
_Shares = npt.NDArray[np.float64]


def learn_dictionary(tokens: pa.Table, old_size: int, language: str) -> Mapping[int, Mapping[int, float]]:
    """Return for each new piece the old pieces that it translates to, with weights of sum 1.

    Learnt from the examples with a prompt and a completion in ``language``: every completion's piece is explained by
    one of its prompt's pieces. Pieces without a translation of some weight are left out.
    """
    sources, targets, num_examples = _pairs(tokens, language)
    if not num_examples:
        return {}
    source_ids, target_ids, of_occurrence, occurrence = _cooccurrences(sources, targets)
    shares = _expectation_maximisation(source_ids, of_occurrence, occurrence)
    counts = np.bincount(of_occurrence, shares, minlength=len(source_ids))
    common = _common(sources, num_examples)
    kept = (target_ids >= old_size) & (source_ids < old_size) & ~np.isin(source_ids, common)
    totals = np.bincount(target_ids, counts)
    kept &= counts >= _LEAST_SHARE * totals[target_ids]
    found: dict[int, dict[int, float]] = {}
    for target, source, count in zip(target_ids[kept], source_ids[kept], counts[kept], strict=True):
        found.setdefault(int(target), {})[int(source)] = float(count)
    return {
        target: {source: count / sum(weights.values()) for source, count in weights.items()}
        for target, weights in found.items()
    }


def _pairs(tokens: pa.Table, language: str) -> tuple[list[_Integers], list[_Integers], int]:
    """Return the pieces of prompts, each once, and of completions without EOS."""
    chosen = tokens.filter(pc.and_(pc.equal(tokens["language"], language), pc.invert(tokens["is_text"])))
    sources, targets = [], []
    if len(chosen) > _MOST_EXAMPLES:
        chosen = chosen.take(np.linspace(0, len(chosen) - 1, _MOST_EXAMPLES).astype(np.int64))
    for ids, num_prompt in zip(chosen["tokens"], chosen["num_prompt"].to_pylist(), strict=True):
        values = ids.values.to_numpy()
        sources.append(np.unique(values[:num_prompt]))
        targets.append(values[num_prompt:-1])
    return sources, targets, len(sources)


def _cooccurrences(
    sources: list[_Integers], targets: list[_Integers]
) -> tuple[_Integers, _Integers, _Integers, _Integers]:
    """Lay out every pair of a completion's piece and a prompt's piece.

    Returns the pairs' types (source ids, target ids), and for each occurrence its type and the occurrence of the
    completion's piece that it could explain.
    """
    source = np.concatenate([np.tile(s, len(t)) for s, t in zip(sources, targets, strict=True)]).astype(np.int64)
    target = np.concatenate([np.repeat(t, len(s)) for s, t in zip(sources, targets, strict=True)]).astype(np.int64)
    widths = np.concatenate([np.full(len(t), len(s)) for s, t in zip(sources, targets, strict=True)])
    occurrence = np.repeat(np.arange(len(widths)), widths)
    width = int(max(source.max(), target.max())) + 1
    types, of_occurrence = np.unique(source * width + target, return_inverse=True)
    return types // width, types % width, of_occurrence, occurrence


def _expectation_maximisation(source_ids: _Integers, of_occurrence: _Integers, occurrence: _Integers) -> _Shares:
    """Return for each occurrence of a pair the probability that the prompt's piece explains the completion's."""
    probability = np.ones(len(source_ids))
    for _ in range(_ITERATIONS):
        shares = probability[of_occurrence]
        shares /= np.bincount(occurrence, shares)[occurrence]
        counts = np.bincount(of_occurrence, shares, minlength=len(source_ids))
        probability = counts / np.bincount(source_ids, counts)[source_ids]
    return shares


def _common(sources: list[_Integers], num_examples: int) -> _Integers:
    in_how_many = np.bincount(np.concatenate(sources))
    return np.flatnonzero(in_how_many > _COMMON * num_examples)
