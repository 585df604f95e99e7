"""What a phase trains (all weights, low-rank adapters, new rows only), and the way back to a plain model."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.other import TrainableTokensWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.half_weights import restore_weights
from crosstune.models.plain import plain_logits
from crosstune.models.plain_rows import rows_of
from crosstune.recipe import Lora, Phase
from crosstune.train.loss import Penalty, SummedLoss, summed_loss
from crosstune.train.methods.kl import StartDivergence
from crosstune.train.methods.lora_targets import calls_of_linear_layers, chosen_targets, names_as_they_are
from crosstune.train.methods.parts import choose_parts
from crosstune.train.methods.preference import PreferenceLoss
from crosstune.train.methods.regularizers import PullToStart, Regularizer
from crosstune.train.new_rows.rows import matrices
from crosstune.train.rows import Segment

_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


@dataclass(frozen=True)
class Trainable:
    """A model whose parameters that are to be trained require gradients.

    Attributes:
        regularizers: what acts on the weights beside the gradient.
        penalty: what is added to the loss.
        preference: the loss of pairs, where rows are pairs; one of the regularizers.
    """

    model: nn.Module
    regularizers: tuple[Regularizer, ...] = ()
    penalty: Penalty | None = None
    preference: PreferenceLoss | None = None

    def loss(
        self, called: nn.Module, segments: Sequence[Segment], rows: Sequence[int], device: torch.device, weight: float
    ) -> SummedLoss:
        """Return the weighted loss of the segments of some rows; ``called`` is the model as accelerate wraps it."""
        if self.preference:
            return self.preference.loss(called, segments, rows, device, weight)
        return summed_loss(called, segments, device, weight, self.penalty)


def make_trainable(model: PreTrainedModel, phase: Phase, old_size: int | None, seed: int) -> Trainable:
    """Choose what a phase trains of a model.

    Raises:
        BadInputError: when the model lacks the layers that are to move, or that the adapters could go to.
    """
    if phase.lora:
        return _with_regularizers(_with_adapters(model, phase.lora, old_size, seed), phase, [])
    frozen = choose_parts(model, phase, old_size)
    regularizers: list[Regularizer] = [frozen] if frozen else []
    return _with_regularizers(model, phase, regularizers)


def _with_regularizers(model: nn.Module, phase: Phase, regularizers: list[Regularizer]) -> Trainable:
    """Add what the phase asks for."""
    divergence = None
    if phase.kl_to_start:
        divergence = StartDivergence(model, phase.kl_to_start.weight, phase.kl_to_start.languages)
        regularizers.append(divergence)
    if phase.l2_to_start:
        regularizers.append(PullToStart(model, phase.l2_to_start))
    preference = PreferenceLoss(phase.preference) if phase.preference else None
    if preference:
        regularizers.append(preference)
    return Trainable(model, tuple(regularizers), divergence.penalty if divergence else None, preference)


def refuse_sharded_weights(accelerator: Accelerator, phase: Phase) -> None:
    """Stop where weights are split over the ranks, and something needs them whole.

    Raises:
        BadInputError: for new rows alone, or settings that act on weights, under FSDP or DeepSpeed.
    """
    pulls = phase.pulls_on_whole_weights if accelerator.is_fsdp2 else phase.pulls
    if pulls and accelerator.distributed_type in _SHARDED:
        raise BadInputError(
            f"`{'`, `'.join(pulls)}` was launched with {accelerator.distributed_type}, which splits the weights, but "
            "it needs them whole: launch with DDP instead: torchrun --nproc-per-node N -m crosstune ...; `merge` and "
            "replay "
            "work in either way, `l2_to_start` with FSDP2, too"
        )
    if phase.trains_rows and accelerator.distributed_type in _SHARDED:
        raise BadInputError(
            f"`trains: [{', '.join(phase.trains)}]` was launched with {accelerator.distributed_type}, which splits the "
            "embedding matrices, so that rows cannot be told apart: launch with DDP instead: torchrun "
            "--nproc-per-node N -m "
            "crosstune ..., or train output_rows and layers"
        )


def plain_model(
    accelerator: Accelerator, trained: nn.Module, build: Callable[[], nn.Module], is_frozen: bool = False
) -> PreTrainedModel:
    """Return the trained model unwrapped, with adapters merged; whole on the main process only where it was sharded.

    ``build`` makes a model of the same shape, for the weights of a sharded one. Where weights that did not move are
    packed (``is_frozen``), it makes what the phase began with, whose own weights stay as they are.
    """
    if is_frozen:
        whole = build()
        of_begin = dict(whole.named_parameters())
        unwrapped = accelerator.unwrap_model(trained, keep_fp32_wrapper=False)
        moved = {name: weight for name, weight in unwrapped.named_parameters() if weight.requires_grad}
        with torch.no_grad():
            for name, weight in moved.items():
                of_begin[name].copy_(weight)
    elif accelerator.distributed_type in _SHARDED:
        state = accelerator.get_state_dict(trained)
        whole = build()
        if accelerator.is_main_process:
            whole.load_state_dict(state)
    else:
        whole = accelerator.unwrap_model(trained, keep_fp32_wrapper=False)
    merged = whole.merge_and_unload() if isinstance(whole, PeftModel) else whole
    restore_weights(merged)
    return cast(PreTrainedModel, merged)


def _with_adapters(model: PreTrainedModel, lora: Lora, old_size: int | None, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    with calls_of_linear_layers(model) as called:
        before = log_probabilities(model, model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=chosen_targets(model, lora.targets, None if before is None else called),
        task_type="CAUSAL_LM",
        trainable_token_indices=_new_rows(model, old_size) if lora.train_new_rows else None,
    )
    try:
        with warnings.catch_warnings(), names_as_they_are():
            # peft 0.21 reads an attribute that transformers 5.23 has renamed.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            adapted: nn.Module = get_peft_model(model, config)
    except ValueError as error:
        raise BadInputError(
            f"peft cannot put adapters on the layers of {type(model).__name__} that lora.targets asks for "
            f"({str(error).rstrip('.')}): name others"
        ) from None
    for part in adapted.modules():
        if isinstance(part, TrainableTokensWrapper):
            _keep_bias(part)
    if before is not None:
        _refuse_changed(type(model).__name__, before, log_probabilities(adapted, model))
    return adapted


def _refuse_changed(name: str, before: Tensor, after: Tensor | None) -> None:
    """Stop where a model with adapters that have learnt nothing is another one: peft computes parts of it anew."""
    assert after is not None
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-3):
        raise BadInputError(
            f"adapters change {name} before any training: log-probabilities differ by "
            f"{float((before - after).abs().max()):.2g} nats. It computes its matrices in a way that peft does not "
            "know: train it by `method: full`, or without lora.train_new_rows"
        )


@torch.no_grad()
def log_probabilities(adapted: nn.Module, model: PreTrainedModel) -> Tensor | None:
    """Return what a model with or without adapters gives behind a few tokens; None where it is a plan without weights.

    ``model`` is what is inside.
    """
    if model.device.type == "meta":
        return None
    was_training = adapted.training
    adapted.eval()
    row = rows_of(model)[0]
    (logits,) = plain_logits(adapted, [row], [np.array([len(row) - 1])], "one by one").float()
    adapted.train(was_training)
    seen: Tensor = logits.log_softmax(0)
    return seen


def _keep_bias(wrapper: TrainableTokensWrapper) -> None:
    """Let a head whose new rows are trained add its bias: peft 0.21 multiplies by the matrix alone."""
    layer = wrapper.token_adapter
    bias = getattr(layer.base_layer, "bias", None)
    if bias is None:
        return

    def add(_: nn.Module, __: object, output: Tensor) -> Tensor:
        leaves_out = layer.active_adapters and not layer.disable_adapters and not layer.merged
        return output + bias.to(output.dtype) if leaves_out else output

    wrapper.register_forward_hook(add)


def _new_rows(model: PreTrainedModel, old_size: int | None) -> dict[str, list[int]]:
    """Return the new ids by the name of the matrix whose rows peft is to train; one name where they are tied."""
    old_rows = old_size or 0
    embeddings = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Embedding | nn.Linear)]
    # Tied matrices have the name of the input's, which stands first: peft lets the output follow it.
    names = [next(name for name, part in embeddings if part.weight is matrix) for matrix in matrices(model)]
    return {name.rpartition(".")[2]: list(range(old_rows, len(matrices(model)[0]))) for name in names}
