"""Which way a model reads rows: packed where it has proved on itself that this is exact, else slower and exact.

The way is kept with the model. Who reads rows asks for it here, and a model without one is tested there and then, so
that nothing is read packed unproved.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from crosstune.models import slots_test
from crosstune.models.attention.flex import packed_attention
from crosstune.models.attention.with_cache import ATTENTION as SLOTS
from crosstune.models.frozen import dtype_of_states
from crosstune.models.layers import inner_model
from crosstune.models.logits import packed_logit_parts
from crosstune.models.packing import ATTENTION, lay_out, logits_at
from crosstune.models.plain import (
    Way,
    changes_with_length,
    num_passes,
    own_attention,
    plain_logits,
    set_attention,
)
from crosstune.models.references import References, Trial, Use, asleep, digit_of, inference_kernels
from crosstune.models.self_test import Difference, Read
from crosstune.models.shortened import shortened
from crosstune.terminal.output import note

_KEPT = "_crosstune_paths"
_ALONE: Way = "one by one"
_DEEPSPEED = "DeepSpeedEngine"
"""The class that wraps a model there: an extra, and not imported to be asked for."""


@dataclass(frozen=True)
class Path:
    """The way that a model reads rows in one use.

    Attributes:
        attention: the name of the attention that it is set to.
        tried: the ways that were tested, from the fastest on, and how far each is from plain transformers.
    """

    use: Use
    way: Way
    attention: str
    tried: tuple[tuple[str, Difference], ...]

    def facts(self) -> dict[str, Any]:
        """Return what a run's files say of it: the way, and what was measured; nothing where nothing was."""
        measured = [{"way": name, **_measured(found, self.use)} for name, found in self.tried]
        return {"use": self.use, "way": self.way, "measured": measured}


def _measured(found: Difference, use: Use) -> dict[str, Any]:
    return {
        **({"nats": found.nats} if math.isfinite(found.nats) else {}),
        **({"gradient": found.gradient} if use == "training" and math.isfinite(found.gradient) else {}),
        "rounding": found.allowed,
        **({"error": found.error} if found.error else {}),
        **({"in_copy": _measured(found.in_copy, use)} if found.in_copy else {}),
    }


def path_of(trained: nn.Module, use: Use) -> Path:
    """Return the way that a model reads rows, and set its attention to it; test the model where it has none yet.

    ``trained`` may be wrapped, and have adapters.
    """
    model = inner_model(trained)
    path = _kept(model).get(_key(model, use)) or choose_path(trained, _trial(trained, use))
    if model.config._attn_implementation != path.attention:
        set_attention(model, path.attention)
    return path


def way_of(trained: nn.Module, use: Use, longest: int) -> Way:
    """Return the way for rows of at most so many tokens."""
    path = path_of(trained, use)
    limit = changes_with_length(inner_model(trained))
    return _ALONE if limit is not None and longest > limit else path.way


def read_rows(
    trained: nn.Module, rows: Sequence[Sequence[int]], read: Sequence[np.ndarray], layout_options: Mapping[str, int]
) -> Tensor:
    """Return the logits at some places of each row, [places of all rows, pieces], by the model's way in training.

    Of a model that several processes train, all of them call this together.
    """
    model = inner_model(trained)
    way = way_of(trained, "training", max(map(len, rows)))
    num_missing = 0
    if changes_with_length(model) is not None or path_of(trained, "training").way != "packed":
        num_missing = _num_missing(trained, num_passes(rows, way), model.device)
    found = (
        _read_packed(trained, rows, read, layout_options) if way == "packed" else plain_logits(trained, rows, read, way)
    )
    if not num_missing:
        return found
    # Nothing is read of them, so that they add zeros to the gradients.
    shortest = [min(rows, key=len)] * num_missing
    return torch.cat([found, plain_logits(trained, shortest, [np.arange(0)] * num_missing, _ALONE)])


def _num_missing(trained: nn.Module, number: int, device: torch.device) -> int:
    """Return how many passes through the model another process needs more than this one.

    In each pass, and in each pass back, processes hand each other weights, gradients or buffers: they would wait for
    ever where one needs fewer.
    """
    waits = isinstance(trained, DistributedDataParallel | FSDPModule) or type(trained).__name__ == _DEEPSPEED
    if not waits:
        return 0
    most = torch.tensor(number, device=device)
    torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
    return int(most) - number


def is_slow(trained: nn.Module) -> bool:
    """Return whether a model was found to be trainable only as plain transformers computes it."""
    model = inner_model(trained)
    path = _kept(model).get(_key(model, "training"))
    return path is not None and path.way != "packed"


def paths_of(model: nn.Module) -> list[Path]:
    """Return the ways that were found for a model."""
    return list(_kept(inner_model(model)).values())


def choose_path(trained: nn.Module, trial: Trial) -> Path:
    """Test a model, say where it cannot be read in the fastest way, and keep the way with it."""
    model = inner_model(trained)
    _kept(model).pop(_key(model, trial.use), None)
    path = _choose(trained, trial)
    _kept(model)[_key(model, trial.use)] = path
    set_attention(model, path.attention)
    if path.way != "packed":
        name, found = path.tried[0]
        note(
            f"{type(model).__name__}: {trial.use} goes by rows {path.way}, as plain transformers computes them: exact "
            f"and slower. {name}: {found}"
        )
    return path


def _choose(trained: nn.Module, trial: Trial) -> Path:
    model = inner_model(trained)
    own = own_attention(model)
    ways: list[tuple[Way, str]] = [("packed", name) for name in trial.attentions]
    if trial.use != "generation":
        ways.append(("right-padded", own))
    tried: list[tuple[str, Difference]] = []
    with asleep(trained, trial.called), shortened(trained):
        references = References(trained, trial)
        for way, attention in ways:
            read = _packed_reader(trial.use) if way == "packed" else _read_padded
            found = references.difference(read, attention)
            tried.append(("packed" if way == "packed" else way, found))
            if trial.agree(found.is_rounding):
                return Path(trial.use, way, attention, tuple(tried))
    return Path(trial.use, _ALONE, own, tuple(tried))


def _packed_reader(use: Use) -> Read:
    return {"training": _read_packed, "scoring": _read_parts, "generation": slots_test.read_in_slots}[use]


def _read_padded(model: nn.Module, rows: Sequence[Sequence[int]], read: Sequence[np.ndarray]) -> Tensor:
    # In one batch with a longer row of which nothing is read: each place that is tested stands before padding.
    longer = [token for row in rows[:2] for token in row]
    return plain_logits(model, [*rows, longer], [*read, np.arange(0)], "right-padded", least_share=0.0)


def _read_packed(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    read: Sequence[np.ndarray],
    options: Mapping[str, int] | None = None,
) -> Tensor:
    device = inner_model(model).device
    # The rows of the test are laid out as training does: products in eight bits, on GPUs, want a multiple.
    tested = {"multiple_of": 16} if device.type == "cuda" else {}
    layout = lay_out(rows, share_prefixes=True, device=device, **(tested if options is None else options))
    places = [path[of] for path, of in zip(layout.token_positions, read, strict=True)]
    return logits_at(model, layout, torch.from_numpy(np.concatenate(places)))


def _read_parts(model: nn.Module, rows: Sequence[Sequence[int]], read: Sequence[np.ndarray]) -> Tensor:
    inner = inner_model(model)
    layout = lay_out(rows, share_prefixes=True, device=inner.device)
    places = np.concatenate([path[of] for path, of in zip(layout.token_positions, read, strict=True)])
    asked, back = np.unique(places, return_inverse=True)
    parts = packed_logit_parts(inner, layout, asked)
    return torch.cat(list(parts), dim=1)[torch.from_numpy(back).to(inner.device)]


def _trial(trained: nn.Module, use: Use) -> Trial:
    model = inner_model(trained)
    attentions = [SLOTS] if use == "generation" else packed_attentions(model, model.device)
    return Trial(use, trained, attentions, inference_kernels, digit_of(dtype_of_states(model), model.device))


def packed_attentions(model: PreTrainedModel, device: torch.device, wants_flex: bool | None = None) -> list[str]:
    """Return the names of packed attention that a model may use on a device, the fastest first."""
    return list(dict.fromkeys((packed_attention(model, device, wants_flex), ATTENTION)))


def _kept(model: PreTrainedModel) -> dict[tuple[str, ...], Path]:
    if _KEPT not in vars(model):
        setattr(model, _KEPT, {})
    return vars(model)[_KEPT]  # type: ignore[no-any-return]


def _key(model: PreTrainedModel, use: Use) -> tuple[str, ...]:
    return use, str(dtype_of_states(model)), model.device.type
