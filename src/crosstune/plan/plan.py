"""`crosstune plan`: tokens, steps, memory and hours of every training phase, before a cent is spent."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.errors import RecipeError
from crosstune.models.experts import num_expert_weights
from crosstune.models.load import load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.plan.machines import Machine
from crosstune.plan.memory import Memory, estimate_memory, fake_model
from crosstune.recipe import Lora, Phase, Recipe, Train
from crosstune.runs.folder import RunFolder
from crosstune.tokens.store import mixture_tokens
from crosstune.train.batches import make_schedule
from crosstune.train.cost import Tokens, count_tokens, flops
from crosstune.train.learning_rate import num_warmup_steps
from crosstune.train.methods.trainable import make_trainable
from crosstune.train.new_rows.rows import read_subwords
from crosstune.train.rows import make_rows
from crosstune.train.start import config_of

# Recomputing the forward pass makes four of three passes.
_RECOMPUTATION = 4 / 3
_SMALLER_MICRO_BATCHES = (4096, 2048, 1024)
_MORE_GPUS = (2, 4, 8, 16, 32, 64)
_SPARING = ("optimizer", "gradient_checkpointing", "precision", "micro_batch_tokens")


@dataclass(frozen=True)
class PhasePlan:
    """One training phase of one system.

    Attributes:
        useful_flops: of the whole stage, recomputation not counted.
        hours: on the machine, at the assumed share of its peak.
        remedies: what would make it fit, where it does not.
        num_weights: of the model, of which ``num_expert_weights`` lie in experts, and ``num_trained_experts`` of these
            are trained.
    """

    system: str
    index: int
    phase: Phase
    tokens: Tokens
    num_warmup_steps: int
    useful_flops: float
    hours: float
    memory: Memory
    fits: bool
    num_weights: int
    num_expert_weights: int
    num_trained_experts: int
    remedies: tuple[str, ...] = ()


def make_plan(recipe: Recipe, run: RunFolder, machine: Machine) -> list[PhasePlan]:
    """Plan every training phase of a recipe whose mixtures and tokenizers are there."""
    prepare_libraries()
    return [
        _plan_phase(recipe, run, machine, name, index)
        for name in recipe.systems_in_order
        for index in range(len(recipe.systems[name].phases))
    ]


def refuse_what_does_not_fit(plans: Sequence[PhasePlan], machine: Machine) -> None:
    """Stop where a phase needs more memory than there is.

    Raises:
        RecipeError: with what each such phase needs, and what would make it fit.
    """
    lines = [
        f"systems.{plan.system}.phases.{plan.index} needs {plan.memory.total / 1e9:.0f} GB per GPU, and "
        f"{machine.gpu.name} has {machine.gpu.memory_gb:g}. "
        + (f"It would fit with: {'; or '.join(plan.remedies)}" if plan.remedies else "No setting was found that fits")
        for plan in plans
        if not plan.fits
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def _plan_phase(recipe: Recipe, run: RunFolder, machine: Machine, name: str, index: int) -> PhasePlan:
    phase = recipe.systems[name].phases[index]
    tokenizer = load_tokenizer(str(run.tokenizer(recipe.systems[name].tokenizer)))
    rows, _ = make_rows(mixture_tokens(run, phase.mixture, recipe.systems[name].tokenizer), phase)
    schedule = make_schedule(len(rows), phase, (recipe.seed_of(name), index))
    tokens = count_tokens(rows, schedule, machine.num_gpus, recipe.train.micro_batch_tokens)
    config = config_of(recipe, name, tokenizer)
    old_size = (
        read_subwords(run.tokenizer("extended")).old_size if recipe.systems[name].tokenizer == "extended" else None
    )
    case = Case(config, old_size, phase, recipe.train, tokens, machine.num_gpus)
    useful, memory = case.flops(), case.memory()
    limit = machine.gpu.memory_gb * 1e9
    fits = memory.total <= limit
    return PhasePlan(
        system=name,
        index=index,
        phase=phase,
        tokens=tokens,
        num_warmup_steps=num_warmup_steps(phase, schedule.num_steps),
        useful_flops=useful,
        hours=hours_of(useful, recipe.train, machine),
        memory=memory,
        fits=fits,
        **case.num_weights(),
        remedies=() if fits else tuple(remedies_for(case, limit)),
    )


def hours_of(useful_flops: float, settings: Train, machine: Machine) -> float:
    """Return the hours that a machine takes for some useful operations, at the assumed share of its peak."""
    peak = machine.gpu.bf16_tflops if settings.precision != "float32" else machine.gpu.float32_tflops
    done = useful_flops * (_RECOMPUTATION if settings.gradient_checkpointing else 1)
    return done / (machine.mfu * peak * 1e12 * machine.num_gpus) / 3600


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
    def needs_whole_weights(self) -> bool:
        """Return whether each GPU must hold all weights: training refuses to split them."""
        return bool(self.phase.pulls_on_whole_weights) or self.phase.trains_rows

    def flops(self) -> float:
        """Return the useful operations of the phase."""
        with torch.device("meta"):
            return flops(self._model(), self.tokens, self.phase)

    def num_weights(self) -> dict[str, int]:
        """Return the weights of the model, those of its experts, and those of them that are trained."""
        with torch.device("meta"):
            model = self._model()
            whole = sum(weight.numel() for weight in model.parameters())
            make_trainable(model, self.phase, self.old_size, seed=0)
        return {
            "num_weights": whole,
            "num_expert_weights": num_expert_weights(model),
            "num_trained_experts": num_expert_weights(model, only_trained=True),
        }

    def memory(self) -> Memory:
        """Return the memory of a step.

        Several GPUs share weights and optimiser state, as the launch files say, unless the phase needs weights whole.
        """
        num_shards = 1 if self.needs_whole_weights else self.num_gpus
        with torch.device("meta"):
            trainable = make_trainable(self._model(), self.phase, self.old_size, seed=0)
        trained, mode = fake_model(lambda: trainable.model)
        with mode:
            return estimate_memory(
                trained, self.tokens, self.settings, self.num_gpus, num_shards, trainable.regularizers
            )

    def with_settings(self, **changes: Any) -> "Case":
        """Return the case with other machine settings."""
        return replace(self, settings=self.settings.model_copy(update=changes))

    def with_micro_batches_of(self, num_tokens: int) -> "Case":
        """Return the case with smaller micro-batches, their supervised tokens in proportion."""
        largest = min(self.tokens.largest_micro_batch, num_tokens)
        most = round(self.tokens.most_supervised * largest / self.tokens.largest_micro_batch)
        several = self.tokens.most_micro_batches * math.ceil(self.tokens.largest_micro_batch / num_tokens)
        tokens = replace(self.tokens, largest_micro_batch=largest, most_supervised=most, most_micro_batches=several)
        return replace(self.with_settings(micro_batch_tokens=num_tokens), tokens=tokens)

    def _model(self) -> PreTrainedModel:
        model: PreTrainedModel = AutoModelForCausalLM.from_config(self.config)  # type: ignore[no-untyped-call]
        return model


def remedies_for(case: Case, limit: float) -> Iterator[str]:
    """Yield changes that make a case fit: first those that change nothing of what is learnt, LoRA last."""
    spared = case.with_settings(gradient_checkpointing=True, precision="bf16")
    sizes = [size for size in _SMALLER_MICRO_BATCHES if size < case.settings.micro_batch_tokens]
    smaller = [spared, *(spared.with_micro_batches_of(size) for size in sizes)]
    with_full_moments = _first_that_fits(case, smaller, limit)
    yield from with_full_moments
    for num_gpus in () if case.needs_whole_weights else _MORE_GPUS:
        if num_gpus > case.num_gpus and replace(spared, num_gpus=num_gpus).memory().total <= limit:
            yield " ".join([f"{num_gpus} GPUs (--gpus {num_gpus})", *_changes(case, spared)])
            break
    if case.settings.optimizer == "adamw":
        others = [] if with_full_moments else smaller
        lighter = [tried.with_settings(optimizer="adamw_8bit") for tried in (case, *others)]
        yield from _first_that_fits(case, lighter, limit)
    if case.phase.title == "full":
        lora = spared.phase.model_copy(update={"method": "lora", "lora": Lora()})
        if replace(spared, phase=lora).memory().total <= limit:
            yield " ".join(["method: lora", *_changes(case, spared)])


def _first_that_fits(case: Case, tries: Sequence[Case], limit: float) -> list[str]:
    """Return the changes of the first of some cases that fits, if any does."""
    fitting = (tried for tried in tries if _changes(case, tried) and tried.memory().total <= limit)
    return [" ".join(_changes(case, tried)) for tried in itertools.islice(fitting, 1)]


def _changes(before: Case, after: Case) -> list[str]:
    """Return the overrides that make one case's machine settings the other's."""
    old, new = before.settings.model_dump(mode="json"), after.settings.model_dump(mode="json")
    return [f"train.{name}={str(new[name]).lower()}" for name in _SPARING if new[name] != old[name]]
