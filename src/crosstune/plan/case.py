"""A phase on a model of known shape, with its machine settings, which can be changed until it fits."""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.models.experts import num_expert_weights
from crosstune.models.shapes import shapes_only
from crosstune.plan.activations import Known
from crosstune.plan.machines import Machine, hours_of
from crosstune.plan.memory import Memory, estimate_memory, fake_model
from crosstune.recipe import Phase, Train
from crosstune.train.cost import Tokens, flops
from crosstune.train.methods.regularizers import Regularizer
from crosstune.train.methods.trainable import make_trainable


@dataclass
class Counted:
    """What was made and counted of a model and phase.

    Attributes:
        fake: the model without content, as it is trained, and the mode in which it runs.
        activations: what a forward pass saves.
        flops: useful operations, by the tokens that are trained on.
    """

    fake: tuple[nn.Module, FakeTensorMode] | None = None
    regularizers: tuple[Regularizer, ...] = ()
    activations: Known = field(default_factory=dict)
    flops: dict[Tokens, float] = field(default_factory=dict)


@lru_cache(maxsize=64)
def _counted_of(config: str, old_size: int | None, phase: str) -> Counted:
    """Return what cases of one model, trained in one way, share: systems of a recipe often differ in data alone."""
    return Counted()


_CHANGES_NO_SHAPE = {
    *("mixture", "num_epochs", "num_steps", "global_batch_size", "max_length_tokens", "on_too_long"),
    *("learning_rate", "schedule", "warmup_ratio", "adam_betas", "weight_decay", "max_grad_norm"),
}


@dataclass(frozen=True)
class Case:
    """A phase with its machine settings, to be changed until it fits."""

    config: Any
    old_size: int | None
    phase: Phase
    settings: Train
    tokens: Tokens
    num_gpus: int

    @property
    def _counted(self) -> Counted:
        phase = self.phase.model_dump_json(exclude=_CHANGES_NO_SHAPE)
        return _counted_of(self.config.to_json_string(use_diff=False), self.old_size, phase)

    @property
    def needs_whole_weights(self) -> bool:
        """Return whether each GPU must hold all weights: training refuses to split them."""
        narrow = self.settings.base_weights != "float32" or self.settings.weights != "float32"
        return bool(self.phase.pulls_on_whole_weights) or self.phase.trains_rows or narrow

    @property
    def may_halve_weights(self) -> bool:
        """Return whether ``train.weights: bf16`` is for this phase."""
        return self.phase.title == "full" and self.phase.l2_to_start is None and self.settings.precision != "fp8"

    @property
    def has_frozen_layers(self) -> bool:
        """Return whether ``train.base_weights`` is for this phase."""
        return not self.phase.moves_all_layers and self.settings.precision != "fp8"

    def flops(self) -> float:
        """Return the useful operations of the phase."""
        known = self._counted.flops
        if self.tokens not in known:
            with shapes_only():
                known[self.tokens] = flops(self.model(), self.tokens, self.phase)
        return known[self.tokens]

    def hours(self, machine: Machine) -> float:
        """Return the hours of the phase, at the assumed share of a machine's peak."""
        return hours_of(self.flops(), self.settings, machine)

    def num_weights(self) -> dict[str, int]:
        """Return the weights of the model, those of its experts, and those of them that are trained."""
        with shapes_only():
            model = self.model()
            whole = sum(weight.numel() for weight in model.parameters())
            make_trainable(model, self.phase, self.old_size, seed=0)
        return {
            "num_weights": whole,
            "num_expert_weights": num_expert_weights(model),
            "num_trained_experts": num_expert_weights(model, only_trained=True),
        }

    def num_trained(self) -> int:
        """Return how many weights move, those of adapters included."""
        with shapes_only():
            trained = make_trainable(self.model(), self.phase, self.old_size, seed=0).model
        return sum(weight.numel() for weight in trained.parameters() if weight.requires_grad)

    def memory(self) -> Memory:
        """Return the memory of a step.

        Several GPUs share weights and optimizer state, as the launch files say, unless the phase needs weights whole.
        """
        num_shards = 1 if self.needs_whole_weights else self.num_gpus
        counted = self._counted
        if counted.fake is None:
            with shapes_only():
                trainable = make_trainable(self.model(), self.phase, self.old_size, seed=0)
            counted.fake, counted.regularizers = fake_model(lambda: trainable.model), trainable.regularizers
        trained, mode = counted.fake
        split = self.num_gpus, num_shards
        with mode:
            return estimate_memory(
                trained, self.tokens, self.settings, *split, counted.regularizers, counted.activations
            )

    def with_settings(self, **changes: Any) -> "Case":
        """Return the case with other machine settings."""
        return replace(self, settings=self.settings.model_copy(update=changes))

    def with_phase(self, **changes: Any) -> "Case":
        """Return the case with another way of training."""
        return replace(self, phase=self.phase.model_copy(update=changes))

    def with_micro_batches_of(self, num_tokens: int) -> "Case":
        """Return the case with smaller micro-batches, their supervised tokens in proportion.

        A row that is longer is a micro-batch of its own.
        """
        longest = self.phase.max_length_tokens * (2 if self.phase.preference else 1)
        largest = min(self.tokens.largest_micro_batch, max(num_tokens, longest))
        most = round(self.tokens.most_supervised * largest / self.tokens.largest_micro_batch)
        several = self.tokens.most_micro_batches * math.ceil(self.tokens.largest_micro_batch / largest)
        tokens = replace(self.tokens, largest_micro_batch=largest, most_supervised=most, most_micro_batches=several)
        return replace(self.with_settings(micro_batch_tokens=num_tokens), tokens=tokens)

    def model(self) -> PreTrainedModel:
        """Return a model of the shape, its weights drawn, or without content within `shapes_only`."""
        model: PreTrainedModel = AutoModelForCausalLM.from_config(self.config)  # type: ignore[no-untyped-call]
        return model
