"""Interpolation of a trained model with one that it comes from: what was forgotten comes back, what was won stays.

Model soups and WiSE-FT (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903), over the rows that both models have.
"""

import torch
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.load import load_model
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.terminal import note
from crosstune.train.new_rows.rows import matrices, output_bias, read_subwords
from crosstune.train.start import Start


def merge_with_ancestor(model: PreTrainedModel, recipe: Recipe, run: RunFolder, name: str, start: Start) -> None:
    """Merge a system's trained model with what its ``merge`` names: a system that it comes from, or its own start."""
    system = recipe.systems[name]
    assert system.merge is not None
    other = system.merge.system or system.start
    path, revision, is_extended = start.model, start.revision, not start.needs_new_rows
    if other in recipe.systems:
        facts = read_json(run.system(other) / "system.json")
        path, revision = run.locate(facts["model"]), facts["revision"]
        is_extended = recipe.systems[other].tokenizer == "extended"
    ancestor = load_model(path, revision)
    num_common_rows = len(matrices(model)[0])
    if system.tokenizer == "extended" and not is_extended:
        # The ancestor may lack a row for the last of its own pieces.
        num_common_rows = min(read_subwords(start.tokenizer).old_size, len(matrices(ancestor)[0]))
    note(f"{name}: merged with {other}, weight {system.merge.weight:g}")
    merge(model, ancestor, system.merge.weight, num_common_rows)


@torch.no_grad()
def merge(model: PreTrainedModel, other: PreTrainedModel, weight: float, num_common_rows: int) -> None:
    """Move a model's weights to (1 - weight) x its own + weight x the other's, computed in float32 and cast.

    Args:
        model: is changed.
        other: has the same shape, but for the rows of the embedding matrices and the bias of the head.
        weight: of the other, between 0 and 1.
        num_common_rows: of the embedding matrices, those that stand for the same pieces in both; the rest stays.

    Raises:
        BadInputError: when the models have other weights than each other.
    """
    theirs = dict(other.named_parameters())
    with_rows = {id(matrix) for matrix in [*matrices(model), output_bias(model)]}
    for name, own in model.named_parameters():
        others = theirs.get(name)
        rows = num_common_rows if id(own) in with_rows else len(own)
        if others is None or others.shape[1:] != own.shape[1:] or len(others) < rows:
            found = "does not have" if others is None else f"has with shape {tuple(others.shape)}"
            raise BadInputError(
                f"merge: the weight {name}, of shape {tuple(own.shape)} here, is one that the other model {found}: "
                "models of different shapes cannot be merged"
            )
        own[:rows] = own[:rows].float().lerp(others[:rows].to(own.device).float(), weight).to(own.dtype)
