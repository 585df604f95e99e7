"""Which linear layers get adapters: what was asked for in every layer of the model, or none."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.utils import transformers_weight_conversion
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from crosstune.errors import BadInputError
from crosstune.models.experts import is_one_of_experts, num_expert_weights
from crosstune.terminal.output import note

_ALL = "all-linear"
# GPT-2 has the other kind of linear layer.
_LINEAR = (nn.Linear, Conv1D)


def chosen_targets(
    model: PreTrainedModel, targets: Sequence[str] | str, called: Collection[str] | None = None
) -> list[str]:
    """Return the names of the linear layers that get adapters, and name what adapters leave out.

    Each by its whole name: by the ends of names peft would adapt others, too.

    Args:
        model: as it is loaded.
        targets: what the recipe asks for.
        called: the names of the layers that the model called for a row, where it has read one.

    Raises:
        BadInputError: when a target is in only some of the model's layers: it would be trained by halves, silently.
    """
    _name_experts(model)
    linear = {name for name, part in model.named_modules() if isinstance(part, _LINEAR)}
    if targets == _ALL or list(targets) == [_ALL]:
        asked = linear - _heads(model)
    else:
        refuse_parts(model, targets)
        asked = {name for name in linear if any(f".{name}".endswith(f".{target}") for target in targets)}
    left_out = dict(_left_out(model, asked, called))
    if not asked - left_out.keys():
        raise BadInputError(
            f"lora.targets: no linear layer of {type(model).__name__} that was asked for can have adapters: "
            f"{_listed(left_out)}. Name others, or set `method: full`"
        )
    if left_out:
        note(f"adapters leave {len(left_out)} linear layers as they are: {_listed(left_out)}")
    return [name for name, _ in model.named_modules() if name in asked - left_out.keys()]


def refuse_parts(model: PreTrainedModel, targets: Sequence[str]) -> None:
    """Check that each target is in every layer of a model that has the part before it.

    Raises:
        BadInputError: when one is not, with what there is.
    """
    places = [_place(name) for name, part in model.named_modules() if isinstance(part, _LINEAR)]
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


@contextmanager
def calls_of_linear_layers(model: nn.Module) -> Iterator[set[str]]:
    """Collect the names of the linear layers that a model calls while in this context."""
    called: set[str] = set()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, part in model.named_modules()
        if isinstance(part, _LINEAR)
    ]
    try:
        yield called
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def names_as_they_are() -> Iterator[None]:
    """Let peft adapt the layers that it is told, while in this context.

    Of a mixture of experts it would take `gate_proj`, wherever it stands, for a part of the experts in older releases
    of transformers: it would adapt those, and leave the feed-forward layers out that have this name now.
    """
    module: Any = transformers_weight_conversion
    before = module.convert_peft_config_for_transformers
    module.convert_peft_config_for_transformers = lambda *_, **__: None
    try:
        yield
    finally:
        module.convert_peft_config_for_transformers = before


def is_renamed(model: PreTrainedModel, names: Sequence[str]) -> bool:
    """Return whether peft, when it loads adapters of these layers, would look for others (see `names_as_they_are`)."""
    module: Any = transformers_weight_conversion
    kind = module._MODEL_TO_CONVERSION_PATTERN.get(model.config.model_type)
    renamed = module._MOE_TARGET_MODULE_MAPPING.get(kind, {})
    return any(name.rpartition(".")[2] in renamed for name in names)


def _left_out(
    model: PreTrainedModel, asked: Collection[str], called: Collection[str] | None
) -> Iterator[tuple[str, str]]:
    """Yield what adapters would be wrong on, or without effect, and why."""
    parts = dict(model.named_modules())
    users = Counter(id(weight) for part in parts.values() for weight in part.parameters(recurse=False))
    for name in asked:
        part, (parent, _, own) = parts[name], name.rpartition(".")
        if not _is_plain(part):
            yield name, f"{type(part).__name__} computes otherwise than a linear layer"
        elif users[id(part.weight)] > 1:
            # As in Zamba: merged, the adapters of one would change the others.
            yield name, "several layers share their weights"
        elif _is_state_space(parts[parent]) and own != "in_proj":
            yield name, f"{type(parts[parent]).__name__} reads their weights without calling them"
        elif called is not None and name not in called and not is_one_of_experts(name):
            yield name, "the model does not call them"


@torch.no_grad()
def _is_plain(part: nn.Module) -> bool:
    """Return whether a module computes the product that peft would compute in its place."""
    plain = Conv1D if isinstance(part, Conv1D) else nn.Linear
    if type(part).forward is plain.forward:
        return True
    weight: Tensor = part.get_parameter("weight")
    one = torch.linspace(-1, 1, weight.shape[1], dtype=weight.dtype, device=weight.device)[None]
    try:
        found, expected = part(one), plain.forward(part, one)  # type: ignore[arg-type]
    # It expects states of other shapes, and says so in a way of its own.
    except Exception:
        return False
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return weight.is_meta or bool(torch.allclose(found, expected, rtol=1e-2, atol=1e-3))


def _is_state_space(part: nn.Module) -> bool:
    """Return whether a module is a Mamba layer, whose kernels take the weights of its linear layers."""
    return all(isinstance(getattr(part, name, None), nn.Parameter) for name in ("A_log", "D"))


def _heads(model: PreTrainedModel) -> set[str]:
    """Return the name of the output matrix."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return {name for name, part in model.named_modules() if part is head}


def _listed(left_out: dict[str, str]) -> str:
    by_reason: dict[str, set[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, set()).add(_place(name)[1] or name)
    return "; ".join(f"{', '.join(sorted(names))} ({reason})" for reason, names in sorted(by_reason.items()))


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
