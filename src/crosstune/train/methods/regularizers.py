"""What acts on the weights beside the gradient: pulls to where they began, and frozen rows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


class Regularizer:
    """Something that a training loop lets act around each optimizer step.

    All of it acts on each rank alike, so it works with any number of ranks that hold all weights.

    Attributes:
        num_logits: how many matrices as large as a micro-batch's logits it needs at a time.
        needs_whole_weights: false where it treats every weight by itself, and so works on a rank's part of them.
    """

    num_logits = 0
    needs_whole_weights = True

    def start(self, saved: Mapping[str, Tensor] | None) -> None:
        """Read the weights that a phase starts with; in the middle of one, what a checkpoint saved of ``state``."""

    def after_step(self, learning_rate: float) -> None:
        """Act after an optimizer step."""

    def state(self) -> dict[str, Tensor]:
        """Return what must be in a checkpoint, so that a resumed phase continues as it would have."""
        return {}

    def num_kept(self) -> int:
        """Return how many values, in float32, are kept beside the weights through a step."""
        return 0


class FrozenOldRows(Regularizer):
    """Trains the new rows of embedding matrices, and the head's bias of new pieces, and leaves the old ones.

    A masked gradient alone is no freeze: weight decay moves rows without gradient. So the old rows are put back after
    each step.
    """

    def __init__(self, matrices: Sequence[nn.Parameter], old_size: int) -> None:
        self.old_size = old_size
        self.old: list[Tensor] = []
        self.matrices = matrices
        for matrix in self.matrices:
            matrix.register_hook(self._only_new)  # type: ignore[no-untyped-call]

    def start(self, saved: Mapping[str, Tensor] | None) -> None:
        """Take the old rows as they are now: they have not moved since the phase started."""
        self.old = [matrix[: self.old_size].detach().clone() for matrix in self.matrices]

    @torch.no_grad()
    def after_step(self, learning_rate: float) -> None:
        """Put the old rows back."""
        for matrix, old in zip(self.matrices, self.old, strict=True):
            matrix[: self.old_size] = old

    def num_kept(self) -> int:
        """Return the values of the old rows."""
        return sum(self.old_size * math.prod(matrix.shape[1:]) for matrix in self.matrices)

    def _only_new(self, gradient: Tensor) -> Tensor:
        masked = gradient.clone()
        masked[: self.old_size] = 0
        return masked


class PullToStart(Regularizer):
    """Decays weights towards those that the phase began with, as AdamW's weight decay does towards zero.

    L2-SP (Li et al. 2018, https://arxiv.org/abs/1802.01483), decoupled from the gradient as in Loshchilov and Hutter
    2019: after each step w -= learning rate * strength * (w - start).
    """

    needs_whole_weights = False

    def __init__(self, model: nn.Module, strength: float) -> None:
        self._model, self._strength = model, strength
        self._start: dict[str, Tensor] = {}

    def start(self, saved: Mapping[str, Tensor] | None) -> None:
        """Take the weights as the start."""
        self._start = copies_of(trained_here(self._model), saved)

    @torch.no_grad()
    def after_step(self, learning_rate: float) -> None:
        """Go a small part of the way back."""
        for name, weight in trained_here(self._model).items():
            weight.lerp_(self._start[name].to(weight.dtype), learning_rate * self._strength)

    def state(self) -> dict[str, Tensor]:
        """Return the start: a resumed run could not compute it again."""
        return self._start

    def num_kept(self) -> int:
        """Return the values of the start."""
        return sum(weight.numel() for weight in self._model.parameters() if weight.requires_grad)


def trained_here(model: nn.Module) -> dict[str, Tensor]:
    """Return the trained weights by name, of split ones (FSDP2) this rank's part; what is written into them stays."""
    # A forward pass without a backward one, as a test or held-out text wants it, leaves the outermost gathered.
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
    return {
        name: weight.to_local() if isinstance(weight, DTensor) else weight
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def copies_of(weights: Mapping[str, Tensor], saved: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Return copies of weights, or of what a checkpoint saved of them."""
    return {
        name: saved[name].to(weight.device, copy=True) if saved else weight.detach().clone()
        for name, weight in weights.items()
    }


def save_states(regularizers: Sequence[Regularizer], folder: Path, part: int | None) -> None:
    """Write what the regularizers need to resume, if anything, into a checkpoint; ``part`` of split weights."""
    states = {
        f"{index}.{name}": tensor.contiguous()
        for index, regularizer in enumerate(regularizers)
        for name, tensor in regularizer.state().items()
    }
    if states:
        save_file(states, folder / _file_name(part))


def saved_states(folder: Path) -> dict[int, dict[str, Tensor]]:
    """Return what the regularizers of a phase left in a checkpoint, by their index; parts of split weights joined."""
    found: dict[int, dict[str, Tensor]] = {}
    parts = sorted(
        folder.glob(_file_name(None).replace(".", "_*.")), key=lambda path: int(path.stem.rpartition("_")[2])
    )
    whole = [path for path in (folder / _file_name(None),) if path.exists()]
    files = [load_file(path) for path in whole or parts]
    for name in files[0] if files else ():
        index, _, rest = name.partition(".")
        # FSDP2 splits the rows, the first ones to the first rank.
        found.setdefault(int(index), {})[rest] = torch.cat([file[name] for file in files]) if parts else files[0][name]
    return found


def _file_name(part: int | None) -> str:
    return "regularizers.safetensors" if part is None else f"regularizers_{part}.safetensors"
