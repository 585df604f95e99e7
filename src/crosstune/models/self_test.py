"""Whether a model reads packed rows as plain transformers reads each row alone: measured on the model itself.

A few short rows, two of which begin alike, are read in both ways, by a model with few pieces and with windows that the
rows cross (`shortened.py`). A model that was just drawn hardly attends to anything, so that of a small one an amplified
copy is looked at, too: what is wrong shows there before training makes it show.
"""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from crosstune.errors import BadInputError
from crosstune.models.frozen import FrozenLinear
from crosstune.models.gradients import (
    SCALED_BY_ROWS,
    Gradients,
    few_that_move,
    gradients_of_its_own,
    largest_of_weights,
    sampled_gradients,
)
from crosstune.models.kernels.low_memory_layers import own_forwards
from crosstune.models.layers import inner_model
from crosstune.models.plain_rows import (
    LENGTHS,
    NUM_SHARED,
    PlainRows,
    largest_difference,
    log_probabilities_of,
    logits_of,
    places_in,
    plain_rows,
    rows_of,
)

# What is read of each row: most tokens behind those that rows share, as answers behind an instruction. And the first
# token of each stretch, whichever stands first: layers that look a token or two back show there alone that they see
# what stands before a row in the packed one.
READ = (np.array([0, *range(9, 16)]), np.arange(10, 16), np.arange(16))
# How many tokens, or blocks of them, sparse attention chooses.
_CHOOSING = ("index_topk", "topk_blocks", "block_topk", "keep_window_size")
# Differences of log-probabilities by rounding, in units of the last digit of the largest logit: products of more digits
# than 16 bits have add up in another order, those of fewer are hardly rounded otherwise.
_UNITS, _UNITS_OF_HALF = 64.0, 2.0
# The same, in units of what the last digit of the embeddings makes of them: a model whose logits move a lot with it
# moves as much with the order of additions. Packed float32 rows of trained models differ by 0.5 to 2 of these.
_TIMES_NOISE = 8.0
# Of float32, whatever the model makes of its last digit: what leaked from other rows was more.
_LARGEST_NOISE = 1e-2
# Largest difference of a gradient over its largest value. What leaks from other rows was 30 % and more.
_GRADIENT, _GRADIENT_OF_HALF = 2e-3, 0.25
# Further than rounding by so much, what follows in a row is seen; in few bits rounding may choose another expert.
_AHEAD, _AHEAD_OF_HALF = 10.0, 2.0
_FINE = 1e-6
_SMALL = 2**25
_GAIN = 1.5

Read = Callable[[nn.Module, Sequence[Sequence[int]], Sequence[np.ndarray]], Tensor]
"""Returns the logits at places of rows, [all places, pieces], in some way."""
Kernels = Callable[[nn.Module], AbstractContextManager[None]]
"""Returns the context in which a model computes by the functions that are put in the place of its own."""


@dataclass(frozen=True)
class Difference:
    """How far a way of reading rows is from plain transformers.

    Attributes:
        nats: the largest difference of a log-probability; infinite where the model could not read so at all.
        gradient: the largest difference of a weight's gradient over its largest value; 0 where none is asked for.
        allowed: what rounding may do, in nats.
        allowed_gradient: what rounding may do.
        error: what the model said, where it could not.
        is_hidden: whether rounding moves this model, computing in few bits, as far as an error would.
        in_copy: of a float32 copy, which decides then.
    """

    nats: float
    gradient: float
    allowed: float
    allowed_gradient: float
    error: str = ""
    is_hidden: bool = False
    in_copy: "Difference | None" = None

    @property
    def is_rounding(self) -> bool:
        """Return whether it is as small as rounding makes it."""
        if self.in_copy:
            return self.in_copy.is_rounding
        return self.nats <= self.allowed and self.gradient <= self.allowed_gradient

    def __str__(self) -> str:
        if self.error:
            return self.error
        gradient = f", gradients by {self.gradient:.2g} of their size" if self.gradient else ""
        says = f"log-probabilities differ by {self.nats:.2g} nats{gradient}, where rounding allows {self.allowed:.1g}"
        return f"{says}; of a copy in float32, {self.in_copy}" if self.in_copy else says


class Reference:
    """The rows of the test, and what plain transformers makes of them, one by one."""

    def __init__(
        self, model: nn.Module, read: Sequence[np.ndarray], digit: float, with_gradients: bool, is_whole: bool = True
    ) -> None:
        """Run the model.

        Args:
            model: as it is called.
            read: the places in each row.
            digit: what products round a one by.
            with_gradients: whether gradients are looked at, too.
            is_whole: whether it may be run here alone, and so only where that is needed.
        """
        self._read, self._digit, self._with_gradients = read, digit, with_gradients
        self._is_fine = digit < _FINE
        self._gradients: Gradients = {}
        self._plain = self._run_plain(model) if with_gradients else plain_rows(model, digit)
        self.rows = self._plain.rows
        self._places = places_in(self.rows, read)
        self._expected = self._plain.log_probabilities[self._places]
        scale = float(self._plain.largest[self._places[: len(read[0])]].max())
        self._rounding = (_UNITS if self._is_fine else _UNITS_OF_HALF) * digit * max(1.0, scale)
        if not is_whole:
            self._noise(model)

    def difference(self, model: nn.Module, read: Read, kernels: Kernels) -> Difference:
        """Return how far a way of reading the rows is from the reference; an error of the model is one, too."""
        of_gradients = _GRADIENT if self._is_fine else _GRADIENT_OF_HALF
        try:
            refuse_choosing(model)
            found, gradients = self._run(model, read, lambda: kernels(model))
        except Exception as error:
            lines = str(error).splitlines() or [""]
            reason = f"{type(error).__name__}: {lines[0]}"
            return Difference(math.inf, math.inf, self._rounding, of_gradients, reason)
        gradient = largest_of_weights(self._gradients, gradients) if self._with_gradients else 0.0
        nats = largest_difference(found, self._expected)
        allowed = self._allowed(model, nats)
        is_within = nats <= self._rounding and gradient <= of_gradients
        is_hidden = not self._is_fine and not is_within and nats <= allowed
        return Difference(nats, gradient, allowed, of_gradients, is_hidden=is_hidden)

    def refuse_unreadable(self, model: nn.Module) -> None:
        """Stop where a model's own computation is no number, or where a token sees those that follow it.

        Raises:
            BadInputError: with the difference, and what to do.
        """
        if self._plain.is_readable:
            return
        name = type(inner_model(model)).__name__
        if bool(self._expected.isnan().any()):
            raise BadInputError(
                f"{name} cannot be trained or scored: plain transformers computes no numbers (NaN) for a row of "
                f"{LENGTHS[0]} tokens. Copy the model again, or choose a wider precision"
            )
        # Two rows of one length begin alike, and go on otherwise.
        one, other = (self._plain.log_probabilities[start : start + NUM_SHARED] for start in (0, LENGTHS[0]))
        ahead = largest_difference(one, other)
        allowed = max(_AHEAD * self._allowed(model, ahead / _AHEAD), 0.0 if self._is_fine else _AHEAD_OF_HALF)
        # In eight bits, each product is scaled by the largest number of a whole row.
        if ahead > allowed and not any(type(part).__name__ == SCALED_BY_ROWS for part in model.modules()):
            raise BadInputError(
                f"{name} cannot be trained or scored exactly in any way: its tokens see those that follow "
                f"(log-probabilities differ by {ahead:.2g} nats where a row goes on otherwise), so that each answer "
                "would be seen before it is asked for. Give a model that looks back only; of an encoder that "
                "was trained as a decoder, config.json says is_decoder: true"
            )
        self._plain.is_readable = True

    def _allowed(self, model: nn.Module, nats: float) -> float:
        """Return what rounding may do; what it does to this model is measured where a difference asks for it."""
        if nats <= self._rounding or not math.isfinite(nats):
            return self._rounding
        noise = self._noise(model)
        return max(self._rounding, min(noise, _LARGEST_NOISE) if self._is_fine else noise)

    def _noise(self, model: nn.Module) -> float:
        moved = self._plain.rounded_otherwise(model, self._digit)
        return _TIMES_NOISE * largest_difference(moved[self._places], self._expected)

    def _run_plain(self, model: nn.Module) -> PlainRows:
        rows = rows_of(inner_model(model))
        with torch.enable_grad(), few_that_move(model):
            logits = logits_of(model, rows)
            found = log_probabilities_of(logits)[places_in(rows, self._read)]
            self._gradients = self._gradients_of(model, found)
        return plain_rows(model, self._digit, logits.detach())

    def _run(
        self, model: nn.Module, read: Read, around: Callable[[], AbstractContextManager[None]]
    ) -> tuple[Tensor, Gradients]:
        if not self._with_gradients:
            with torch.no_grad(), around():
                return log_probabilities_of(read(model, self.rows, self._read)), {}
        with torch.enable_grad(), few_that_move(model), around():
            found = log_probabilities_of(read(model, self.rows, self._read))
            return found.detach(), self._gradients_of(model, found)

    def _gradients_of(self, model: nn.Module, found: Tensor) -> Gradients:
        targets = torch.from_numpy(np.concatenate(self._read)).to(found.device) % found.shape[1]
        with gradients_of_its_own(model):
            (-found.gather(1, targets[:, None]).mean()).backward()  # type: ignore[no-untyped-call]
            return sampled_gradients(model)


def refuse_choosing(model: nn.Module) -> None:
    """Check that a model chooses no tokens to attend to: what it chooses depends on what else stands in its input.

    A few rows cannot prove the contrary: with padding behind them, DeepSeek-V4 chooses otherwise in one row of six.

    Raises:
        ValueError: when it does, with the setting that says so.
    """
    for part in model.modules():
        for name in _CHOOSING:
            if vars(part).get(name):
                raise ValueError(
                    f"{type(part).__name__} chooses the tokens that it attends to ({name} {vars(part)[name]}), and "
                    "other rows or padding beside a row may change what it chooses"
                )


@torch.no_grad()
def amplified(trained: nn.Module) -> nn.Module | None:
    """Return a copy in float32 whose weights are large enough for attention to matter.

    None of a large model, or of one that cannot be copied.
    """
    if sum(weight.numel() for weight in trained.parameters()) > _SMALL:
        return None
    try:
        with own_forwards(trained):
            copied = copy.deepcopy(trained).float()
    except RuntimeError:
        return None  # It keeps states of its last rows in its modules, which cannot be copied.
    # Of a model that is prepared for autocast: it would call the original.
    vars(copied).pop("forward", None)
    amplify(copied)
    return copied


@torch.no_grad()
def amplify(model: nn.Module) -> None:
    """Make the weights of a model so large that attention matters."""
    # Tied matrices are one.
    done: set[int] = set()
    for part in model.modules():
        if isinstance(part, FrozenLinear) and part.kind != "bf16":
            part.multiply_(_gain(part.in_features, part.spread()))
            continue
        for weight in part.parameters(recurse=False):
            if weight.ndim > 1 and id(weight) not in done:
                done.add(id(weight))
                weight.mul_(_gain(weight.shape[-1], float(weight.std())))


def _gain(num_inputs: int, spread: float) -> float:
    return max(1.0, _GAIN / num_inputs**0.5 / spread) if spread > 0 else 1.0
