"""Which linear layers get adapters: what was asked for in every layer of the model, or none."""

import re
from collections import Counter
from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.experts import num_expert_weights
from crosstune.terminal import note

_ALL = "all-linear"


def chosen_targets(model: PreTrainedModel, targets: Sequence[str] | str) -> str | list[str]:
    """Return what peft calls the linear layers that are asked for, and name the experts that adapters leave out.

    Raises:
        BadInputError: when a target is in only some of the model's layers: it would be trained by halves, silently.
    """
    _name_experts(model)
    if targets == _ALL or list(targets) == [_ALL]:
        return _ALL
    places = [_place(name) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    inside = [(layer, path) for layer, path in places if layer]
    modules = {place for place in map(_place, dict(model.named_modules())) if place[0]}
    layers = {layer for layer, _ in modules}
    faults = []
    for target in targets:
        found = {layer for layer, path in inside if f".{path}".endswith(f".{target}")}
        # `self_attn.q_proj` is asked of the layers that have a self_attn: of a hybrid these are some.
        parent = target.rpartition(".")[0]
        wanted = {layer for layer, path in modules if f".{path}".endswith(f".{parent}")} if parent else layers
        if not found or found != wanted:
            faults.append(f"{target} in {len(found)} of {len(wanted)} layers")
    if faults:
        counts = Counter(path.rpartition(".")[2] for _, path in inside)
        there = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        raise BadInputError(
            f"lora.targets: each target is to be in every layer, but of {type(model).__name__} there is "
            f"{'; '.join(faults)}. Its linear layers are {there}. Name some of these, or set `targets: {_ALL}`; where "
            "only some layers have a part, name it with the part before it, as self_attn.q_proj"
        )
    return list(targets)


def _name_experts(model: PreTrainedModel) -> None:
    experts, whole = num_expert_weights(model), sum(weight.numel() for weight in model.parameters())
    if experts:
        note(
            f"adapters leave the experts as they are: {experts:,} of {whole:,} weights ({experts / whole:.0%}) are not "
            "trained; `method: full` trains them"
        )


def _place(name: str) -> tuple[str, str]:
    """Return the layer that a module lies in, and its name there; no layer for what lies outside of all."""
    found = re.match(r"(.*?\.\d+)(?:\.|$)(.*)", name)
    return (found.group(1), found.group(2)) if found else ("", name)
