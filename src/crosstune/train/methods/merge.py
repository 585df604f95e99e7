"""What other models' weights do to a trained model's: interpolation, a chat vector added.

Interpolation: model soups and WiSE-FT (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903): what was forgotten
comes back, what was won stays. Chat vector: what a chat model learnt since its base (Huang et al. 2024,
https://arxiv.org/abs/2310.04799). Embedding rows move where the models know the same piece.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.finite import is_finite
from crosstune.models.load import load_model
from crosstune.recipe import Recipe
from crosstune.recipe.merge import ChatVector
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import note
from crosstune.train.methods.shared_pieces import Other, find_other, pieces_here
from crosstune.train.new_rows.rows import matrices, output_bias
from crosstune.train.start import Start

Facts = dict[str, Any]


@dataclass(frozen=True)
class Partner:
    """Another model beside the one that is changed.

    Attributes:
        name: of its system.
        rows: of the embedding matrices of the changed model, those of pieces that both know.
        others: the other model's rows of the same pieces.
    """

    name: str
    model: PreTrainedModel
    rows: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    others: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))


@torch.no_grad()
def merge_with_others(model: PreTrainedModel, recipe: Recipe, run: RunFolder, name: str, start: Start) -> Facts:
    """Do to a system's trained model what its ``merge`` says; return what ``system.json`` says of it.

    Raises:
        BadInputError: when the models are of different shapes.
    """
    system = recipe.systems[name]
    assert system.merge is not None
    settings, facts = system.merge, Facts()

    def partner(other: str) -> Partner:
        found = find_other(recipe, run, name, other, start)
        return _partner(model, pieces_here(start, found), found)

    if settings.weight is not None:
        ancestor = partner(settings.system or system.start)
        interpolate(model, ancestor, settings.weight)
        facts["interpolation"] = {"system": ancestor.name, "weight": settings.weight, "rows": len(ancestor.rows)}
        note(f"{name}: merged with {ancestor.name}, weight {settings.weight:g}")
    if settings.add is not None:
        facts["add"] = _add(model, partner(settings.add.system), partner(settings.add.minus), settings.add, name)
    return facts


def _partner(model: PreTrainedModel, here: Mapping[str, int], other: Other) -> Partner:
    theirs = load_model(other.model, other.revision)
    sizes = len(matrices(model)[0]), len(matrices(theirs)[0])
    # A model may lack a row for the last of its own pieces.
    shared = sorted(
        (index, other.pieces[piece])
        for piece, index in here.items()
        if index < sizes[0] and other.pieces.get(piece, sizes[1]) < sizes[1]
    )
    rows = torch.tensor(shared, dtype=torch.long).reshape(-1, 2)
    found = Partner(other.name, theirs, rows[:, 0], rows[:, 1])
    refuse_other_shapes(model, found)
    if not len(rows):
        raise BadInputError(f"{other.name} shares no piece with the trained model: use models of one tokenizer")
    return found


def interpolate(model: PreTrainedModel, other: Partner, weight: float) -> None:
    """Move a model's weights to (1 - weight) x its own + weight x the other's, computed in float32 and cast."""
    for name, own, is_rows in weights_of(model):
        theirs = _named(other, name)
        if is_rows:
            own[other.rows] = _lerp(own[other.rows], theirs[other.others], weight)
        else:
            own.copy_(_lerp(own, theirs, weight))


def _named(other: Partner, name: str) -> Tensor:
    return other.model.get_parameter(name)


def _lerp(own: Tensor, theirs: Tensor, weight: float) -> Tensor:
    return own.float().lerp(theirs.to(own.device).float(), weight).to(own.dtype)


def _add(model: PreTrainedModel, chat: Partner, base: Partner, settings: ChatVector, name: str) -> Facts:
    rows = add_difference(model, chat, base, settings.weight, name)
    total = len(matrices(model)[0])
    left = f"; {total - rows:,} others stay: {chat.name} or {base.name} lacks their pieces" if rows < total else ""
    note(
        f"{name}: added {settings.weight:g} x ({chat.name} - {base.name}) to all weights and {rows:,} of {total:,} "
        f"embedding rows{left}"
    )
    return {"system": chat.name, "minus": base.name, "weight": settings.weight, "rows": rows, "of_rows": total}


def add_difference(model: PreTrainedModel, plus: Partner, minus: Partner, weight: float, name: str) -> int:
    """Add weight x (plus - minus) to a model's weights, in float32; return how many embedding rows that were.

    Raises:
        BadInputError: when the models share no piece, or the sum is too large a number.
    """
    places = {int(row): place for place, row in enumerate(minus.rows)}
    both = [(place, places[int(row)]) for place, row in enumerate(plus.rows) if int(row) in places]
    if not both:
        raise BadInputError(
            f"systems.{name}.merge.add: {plus.name} and {minus.name} share no piece with {name}: the three tokenizers "
            "are different ones. Use models of one tokenizer"
        )
    first, second = (torch.tensor(side, dtype=torch.long) for side in zip(*both, strict=True))
    for weight_name, own, is_rows in weights_of(model):
        theirs = (_named(one, weight_name) for one in (plus, minus))
        added, taken = (one.to(own.device).float() for one in theirs)
        if is_rows:
            rows = plus.rows[first]
            moved = own[rows].float() + weight * (added[plus.others[first]] - taken[minus.others[second]])
            own[rows] = moved.to(own.dtype)
        else:
            own.copy_((own.float() + weight * (added - taken)).to(own.dtype))
        if not is_finite(own):
            raise BadInputError(
                f"systems.{name}.merge.add: with weight {weight:g}, {weight_name} holds numbers that are not finite: "
                "give a smaller weight"
            )
    return len(both)


def weights_of(model: PreTrainedModel) -> list[tuple[str, Tensor, bool]]:
    """Return the weights of a model by name, and whether they hold a row or number for each piece."""
    with_rows = {id(matrix) for matrix in [*matrices(model), output_bias(model)]}
    return [(name, own, id(own) in with_rows) for name, own in model.named_parameters()]


def refuse_other_shapes(model: PreTrainedModel, other: Partner) -> None:
    """Stop where another model has other weights than one, but for the number of embedding rows.

    Raises:
        BadInputError: with the first weight that one of them lacks, or has in another shape.
    """
    own, theirs = (
        {name: _shape(weight, is_rows) for name, weight, is_rows in weights_of(one)} for one in (model, other.model)
    )
    for name in [*own, *theirs]:
        here, there = (
            f"has {name} with shape {one[name]}" if name in one else f"has no {name}" for one in (own, theirs)
        )
        if own.get(name) != theirs.get(name):
            raise BadInputError(
                f"models of different shapes cannot be merged: {other.name} {there}, and the trained model {here}"
            )


def _shape(weight: Tensor, is_rows: bool) -> tuple[int | str, ...]:
    return ("pieces", *weight.shape[1:]) if is_rows else tuple(weight.shape)
