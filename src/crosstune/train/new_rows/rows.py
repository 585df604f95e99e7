"""Embedding rows for new pieces: each starts as a mixture of old rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.plain import plain_logits
from crosstune.models.small_copy import copy_at_hand
from crosstune.recipe import NewRows
from crosstune.runs.files import read_json
from crosstune.runs.provenance import versions

CONFIG_KEY = "crosstune_new_rows"
"""Where a model's config.json says how its new rows started."""


@dataclass(frozen=True)
class Subwords:
    """What the tokenizer stage says of the new pieces.

    Attributes:
        old_size: pieces before the extension; their rows never move.
        new_size: pieces after it.
        subwords: for each new piece, in order of its id, the old ids that spelt it; empty for padding.
    """

    old_size: int
    new_size: int
    subwords: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class RowSource:
    """What a new row starts from.

    Attributes:
        method: by which it was found: that of the recipe, `mean_of_subwords` where that found nothing, or `padding`.
        ids: old rows; none for the mean of all.
        weights: of these rows, with sum 1; none for equal ones.
    """

    method: str
    ids: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()


def read_subwords(extended_tokenizer: Path) -> Subwords:
    """Read ``subwords.json`` of an extended tokenizer."""
    content = read_json(extended_tokenizer / "subwords.json")
    return Subwords(content["old_size"], content["new_size"], tuple(tuple(ids) for ids in content["subwords"]))


def extend_embeddings(
    model: PreTrainedModel, old_size: int, sources: Sequence[RowSource], settings: NewRows, seed: int
) -> None:
    """Give the model's input and output matrices a row for each new piece; old rows stay as they are, bit for bit.

    So with the bias of the output, where it has one. An old piece without a row (a token that the model was never
    given) gets the mean of all. The model's configuration says how the rows started.
    """
    _forget_ends_without_piece(model, old_size)
    new_size = old_size + len(sources)
    num_known = min(old_size, len(input_matrix(model)))
    if input_matrix(model).shape[0] < new_size:
        _resize(model, new_size)
    generator = torch.Generator().manual_seed(seed)
    for matrix in matrices(model):
        _fill(matrix, (num_known, old_size), sources, settings.noise, generator)
    if (bias := output_bias(model)) is not None:
        # Without noise: it is one number, which is not to be told from others.
        _fill(bias[:, None], (num_known, old_size), sources, 0.0, generator)
    facts = {
        **settings.model_dump(mode="json"),
        "seed": seed,
        "num_rows": dict(sorted(Counter(source.method for source in sources).items())),
        "versions": {name: versions()[name] for name in ("crosstune", "torch", "transformers")},
    }
    setattr(model.config, CONFIG_KEY, facts)


def _forget_ends_without_piece(model: PreTrainedModel, old_size: int) -> None:
    """Take numbers that were no piece before out of what ends an answer: a word of the new language gets the number."""
    for settings in (model.config, getattr(model, "generation_config", None)):
        ends = getattr(settings, "eos_token_id", None)
        if settings is not None and isinstance(ends, list):
            settings.eos_token_id = [end for end in ends if end < old_size] or None
        elif settings is not None and ends is not None and ends >= old_size:
            settings.eos_token_id = None


def refuse_unextendable_kind(config: PreTrainedConfig) -> None:
    """Check on a small copy that a configuration's models can be given new pieces, where a copy can be made.

    Raises:
        BadInputError: with the reason, and what to do.
    """
    copied = copy_at_hand(config)
    if copied is not None:
        extend_embeddings(copied, len(input_matrix(copied)), [RowSource("random")], NewRows(), seed=0)


@torch.no_grad()
def _resize(model: PreTrainedModel, new_size: int) -> None:
    """Make the matrices longer; stop where a model looks a piece up in a table that transformers leaves as it is."""
    try:
        # mean_resizing off: transformers would draw the rows from a normal distribution around the mean of all.
        model.resize_token_embeddings(new_size, mean_resizing=False)
        if model.device.type != "meta":
            plain_logits(model, [[0, new_size - 1]], [np.arange(2)], "one by one")
    # Architectures that forget a part of themselves fail in ways of their own.
    except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        raise BadInputError(
            f"new pieces cannot be given to {type(model).__name__}: transformers does not make all that it keeps for "
            f"each piece longer ({type(error).__name__}: {error}). Let its systems use `tokenizer: base`"
        ) from None


def input_matrix(model: PreTrainedModel) -> nn.Parameter:
    """Return the matrix of input embeddings, [pieces, hidden size]."""
    return cast(nn.Parameter, model.get_input_embeddings().weight)


def output_matrix(model: PreTrainedModel) -> nn.Parameter:
    """Return the matrix of the output head, [pieces, hidden size]; the input's where they are tied."""
    return cast(nn.Parameter, model.get_output_embeddings().weight)  # type: ignore[no-untyped-call]


def output_bias(model: PreTrainedModel) -> nn.Parameter | None:
    """Return what the output head adds to each piece's logit, [pieces], where it adds something (Phi-2, GPT-J)."""
    return cast("nn.Parameter | None", getattr(model.get_output_embeddings(), "bias", None))  # type: ignore[no-untyped-call]


def matrices(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the input and output matrix; one matrix when they are tied."""
    weights = [input_matrix(model), output_matrix(model)]
    return weights[:1] if weights[0] is weights[1] else weights


@torch.no_grad()
def _fill(
    matrix: Tensor, sizes: tuple[int, int], sources: Sequence[RowSource], noise: float, generator: torch.Generator
) -> None:
    """Fill a matrix behind the rows that are known; sizes: how many these are, and where those of new pieces begin."""
    num_known, old_size = sizes
    old = matrix[:num_known].float()
    spread = old.std(dim=0)
    mean = old.mean(dim=0)
    matrix[num_known:old_size] = mean.to(matrix.dtype)
    for index, source in enumerate(sources):
        # Drawn for every row, used or not: one method's rows do not depend on what another found.
        drawn = torch.randn(old.shape[1], generator=generator) * spread
        row = _mixture(old, source) if source.ids else mean
        share = 1.0 if source.method == "random" else noise
        matrix[old_size + index] = (row + share * drawn).to(matrix.dtype)


def _mixture(old: Tensor, source: RowSource) -> Tensor:
    rows = old[list(source.ids)]
    return torch.tensor(source.weights) @ rows if source.weights else rows.mean(dim=0)
