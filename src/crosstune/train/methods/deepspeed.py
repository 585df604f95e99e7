"""What DeepSpeed must be told, where training was launched with it, so that it trains as one process does."""

import math
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from crosstune.recipe import Phase, Train


def load_models_whole(accelerator: Accelerator) -> None:
    """Let transformers and peft load whole models under DeepSpeed, which splits them when it gets them.

    accelerate lets them split what they load (`zero.Init`), whatever `zero3_init_flag` says: its matrices have no rows
    then, where rows are added, adapters begin and the trained weights are put back.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]


def set_engine(accelerator: Accelerator, phase: Phase, settings: Train) -> None:
    """Set what DeepSpeed's engine does by itself in a phase, before it is prepared; without DeepSpeed do nothing.

    It clips, and it wants a batch size although the batches are ours. Its own bf16 keeps the weights that are gathered,
    and so the model that training leaves, in bf16; by autocast they are computed with in bf16 and stay in float32.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        accelerator.state.deepspeed_plugin.deepspeed_config.update(
            {
                "gradient_clipping": phase.max_grad_norm,
                "train_micro_batch_size_per_gpu": 1,
                "bf16": {"enabled": False},
                "torch_autocast": {"enabled": settings.precision == "bf16", "dtype": "bfloat16"},
            }
        )


def clip_gradient(accelerator: Accelerator, model: nn.Module, optimizer: Any, max_norm: float) -> Tensor:
    """Clip the gradient; return its norm before, on the device.

    DeepSpeed did this and its step at the end of the backward pass. Where the norm is not finite, it skips the step and
    tells that of the step before: here it is not a number.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED and optimizer.step_was_skipped:
        return torch.tensor(math.nan)
    norm = accelerator.clip_grad_norm_(model.parameters(), max_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm)
