"""What a model's ways of reading rows are held against: the model itself, and float32 copies of it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models import self_test, slots_test
from crosstune.models.frozen import dtype_of_states
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.kernels.skip_unused_positions import skip_unread_positions
from crosstune.models.layers import inner_model
from crosstune.models.plain import set_attention
from crosstune.models.self_test import Difference, Kernels, Read, Reference, amplified
from crosstune.models.shortened import shortened
from crosstune.models.small_copy import NoSmallCopyError, copy_at_hand, most_weights, small_copy
from crosstune.terminal.output import note

Use = Literal["training", "scoring", "generation"]
_READABLE: set[str] = set()


@dataclass(frozen=True)
class Trial:
    """What a model is tested for.

    Attributes:
        called: the model as it is called, wrapped for several ranks and precisions or not.
        attentions: names of packed attention that may be used, the fastest first.
        kernels: what computes in the place of the model's own layers.
        digit: what products round a one by.
        is_whole: whether the weights are whole here, so that gradients and a copy of the model can be looked at.
        agree: makes one answer of all ranks'.
    """

    use: Use
    called: nn.Module
    attentions: Sequence[str]
    kernels: Kernels
    digit: float
    is_whole: bool = True
    agree: Callable[[bool], bool] = bool


class References:
    """What plain transformers makes of the rows of the test, by a model and by copies of it."""

    def __init__(self, trained: nn.Module, trial: Trial) -> None:
        """Let the model read the rows.

        Raises:
            BadInputError: when it cannot, or sees what follows, with the reason, and what to do.
        """
        self._trained, self._trial = trained, trial
        *self._copies, self._own = list(_readable(trained, trial))

    def difference(self, read: Read, attention: str) -> Difference:
        """Return how far a way of reading is from them, the largest of all.

        Where the model's own rounding would hide what is wrong, a float32 copy decides: a small one of its
        architecture, drawn at random, since how rows are kept apart depends on no weight.
        """
        found = self._measured(*self._own, read, attention)
        of_copies = [self._measured(*copied, read, attention) for copied in self._copies]
        if found.is_hidden:
            deciding = of_copies or self._of_small_copy(read, attention)
            found = replace(found, in_copy=max(deciding, key=_how_far, default=None))
        return max([found, *of_copies], key=_how_far)

    def _of_small_copy(self, read: Read, attention: str) -> list[Difference]:
        model = inner_model(self._trained)
        copied: nn.Module | None = copy_at_hand(model.config, model.device)
        if copied is None:
            return []
        copied = copied.to(model.device)
        with shortened(copied):
            reference = _reference_of_copy(copied, self._trained, self._trial)
            return [self._measured(copied, reference, read, attention)]

    def _measured(self, model: nn.Module, reference: Reference, read: Read, attention: str) -> Difference:
        set_attention(inner_model(model), attention)
        return reference.difference(model, read, self._trial.kernels)


def _how_far(found: Difference) -> tuple[bool, float, float]:
    return not found.is_rounding, found.nats, found.gradient


def refuse_unreadable(model: PreTrainedModel) -> None:
    """Check that rows can be trained on exactly in some way: as plain transformers computes them, if in no other.

    Raises:
        BadInputError: with the reason, and what to do.
    """
    trial = Trial("training", model, [], inference_kernels, digit_of(dtype_of_states(model), model.device), False)
    with asleep(model), shortened(model):
        list(_readable(model, trial))


def _readable(trained: nn.Module, trial: Trial) -> Iterator[tuple[nn.Module, Reference]]:
    try:
        for model, reference in _of_the_model(trained, trial):
            reference.refuse_unreadable(model)
            yield model, reference
    except (BadInputError, MemoryError, torch.OutOfMemoryError):
        raise
    # Each architecture fails in a way of its own.
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:300]
        raise BadInputError(
            f"{type(inner_model(trained)).__name__} cannot be trained or scored: plain transformers itself cannot read "
            f"a row of tokens with it ({type(error).__name__}: {reason}). Update transformers, correct the model's "
            "config.json, or take another model"
        ) from error


def _of_the_model(trained: nn.Module, trial: Trial) -> Iterator[tuple[nn.Module, Reference]]:
    copied = amplified(trained) if trial.is_whole else None
    if copied is not None:
        yield copied, _reference_of_copy(copied, trained, trial)
    yield trial.called, Reference(trial.called, _read(trial), trial.digit, _moves(trained, trial), trial.is_whole)


def _reference_of_copy(copied: nn.Module, trained: nn.Module, trial: Trial) -> Reference:
    digit = digit_of(torch.float32, inner_model(copied).device)
    return Reference(copied, _read(trial), digit, _moves(trained, trial))


def _moves(trained: nn.Module, trial: Trial) -> bool:
    return trial.use == "training" and trial.is_whole and any(weight.requires_grad for weight in trained.parameters())


def _read(trial: Trial) -> Sequence[np.ndarray]:
    return slots_test.READ if trial.use == "generation" else self_test.READ


def refuse_unreadable_kind(config: PreTrainedConfig) -> None:
    """Check on a small copy that a configuration's models can be read exactly in some way, where a copy can be made.

    Raises:
        BadInputError: with the reason, and what to do.
    """
    content = json.dumps(config.to_dict(), sort_keys=True, default=str)
    if content not in _READABLE:
        try:
            copied = small_copy(config, most_weights())
        # What raises there is as manifold as architectures.
        except Exception as error:
            reason = str(error) if isinstance(error, NoSmallCopyError) else f"{type(error).__name__}: {error}"
            note(
                f"how {config.model_type} reads rows is tested when training starts, not before: no small copy of it "
                f"can be tested ({reason})"
            )
        else:
            refuse_unreadable(copied)
        _READABLE.add(content)


def digit_of(dtype: torch.dtype, device: torch.device) -> float:
    """Return what products of a type round a one by: in float32 on GPUs, as the process lets them be computed."""
    coarser = {"high": 2.0**-10, "medium": torch.finfo(torch.bfloat16).eps} if device.type == "cuda" else {}
    precision = torch.get_float32_matmul_precision()
    return coarser.get(precision, torch.finfo(dtype).eps) if dtype == torch.float32 else torch.finfo(dtype).eps


@contextmanager
def inference_kernels(model: nn.Module) -> Iterator[None]:
    """Let a model compute by the fast paths of scoring and generation, while in this context."""
    with skip_unread_positions(model), lean_layers(model):
        yield


@contextmanager
def asleep(*models: nn.Module) -> Iterator[None]:
    """Let models be in evaluation mode, without dropout, while in this context."""
    training = [(part, part.training) for model in models for part in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for part, was in training:
            part.training = was
