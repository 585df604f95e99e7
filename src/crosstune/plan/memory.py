"""How much memory a phase needs on each GPU, counted on a model without weights before anything is launched.

Weights, gradients and optimizer state follow from the parameters; what the forward pass keeps for the backward one is
counted in `activations`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from crosstune.models.layers import inner_model, layers_of
from crosstune.models.pack_weights import bytes_when_packed
from crosstune.models.recompute import recompute_layers
from crosstune.models.shapes import shapes_only
from crosstune.plan.activations import COUNTED_ATTENTION, Known, saved_bytes
from crosstune.recipe import Train
from crosstune.train.cost import Tokens
from crosstune.train.methods.optimizer import bytes_of_moments
from crosstune.train.methods.regularizers import Regularizer

# The CUDA context and libraries (of a processor: the process and its libraries), and what the allocator cannot use:
# assumptions, not measurements.
CONTEXT_BYTES = 1.5e9
FRAGMENTATION = 0.05
# Gradients and weights are in float32, where nothing else is asked for.
_FLOAT = 4
_CHUNK_ROWS = 1024


@dataclass(frozen=True)
class Memory:
    """Bytes per GPU at the peak of a step.

    Attributes:
        gradients: what of them is there at the peak. In the backward pass of a step's only micro-batch they come as
            activations go, so that the larger of both counts; where several add up, all are there beside them; where
            ranks average whole ones, twice, with the copies that are sent.
        working_weights: copies of weights in the precision of the products, gathered layers where weights are sharded.
        activations: what the forward pass keeps for the backward one; with checkpointing, and one layer computed again.
        logits: of the supervised positions, which their gradient takes the place of, and a chunk in float32.
        regularizers: copies of weights, and of logits at most, that regularizers and frozen rows need.
        other: CUDA context, or the process and its libraries, and fragmentation, assumed.
        checkpoint: of the host: the copy of whole weights and moments that is written while training goes on. Where the
            host has no room for it, training waits instead.
    """

    weights: float
    gradients: float
    optimizer: float
    working_weights: float
    activations: float
    logits: float
    regularizers: float
    other: float
    checkpoint: float = 0.0

    @property
    def total(self) -> float:
        """Return the bytes of all parts together, but for what is on the host."""
        return float(sum(vars(self).values())) - self.checkpoint


def estimate_memory(
    trained: nn.Module,
    tokens: Tokens,
    settings: Train,
    num_gpus: int,
    num_shards: int,
    regularizers: Sequence[Regularizer] = (),
    known: Known | None = None,
) -> Memory:
    """Return the memory of a step on each GPU.

    Args:
        trained: a `fake_model`, in its mode, its trained parameters requiring gradients.
        tokens: of the phase; its largest micro-batch counts.
        settings: precision, optimizer and checkpointing.
        num_gpus: how many train together.
        num_shards: over how many of them weights, gradients and optimizer state are split; 1 for none.
        regularizers: of the phase; where weights are split, so is what they keep.
        known: what was counted before of the same model and phase, which is added to.
    """
    num_trained = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
    bytes_per_value = 2 if settings.precision != "float32" else 4
    layer, others = _largest_layer(trained), _outside_layers(trained)
    if num_shards > 1:
        # The layer at work and the next one are gathered; embeddings and head stay so through the step.
        working: float = (2 * layer + others) * bytes_per_value + (layer + others) * _FLOAT
    else:
        working = _copies(trained, settings)
    activations = _activations(trained, tokens.largest_micro_batch, settings, {} if known is None else known)
    model: Any = inner_model(trained)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    all_logits = tokens.most_supervised * vocabulary * bytes_per_value
    chunk = min(_CHUNK_ROWS, tokens.most_supervised) * vocabulary * 2 * _FLOAT
    logits = float(all_logits + chunk)
    of_moving = 2 if settings.weights == "bf16" else _FLOAT
    gradients = num_trained * of_moving / num_shards
    if num_shards < num_gpus:
        # DDP averages copies of them: its buckets.
        gradients *= 2
    elif tokens.most_micro_batches == 1:
        gradients = max(0.0, gradients - activations - logits)
    parts = {
        "weights": _bytes_of_weights(trained, settings) / num_shards,
        "gradients": gradients,
        "optimizer": bytes_of_moments(trained, settings, num_shards),
        "working_weights": float(working),
        "activations": float(activations),
        "logits": logits,
        "regularizers": float(
            sum(
                regularizer.num_kept() * _FLOAT / num_shards + regularizer.num_logits * all_logits
                for regularizer in regularizers
            )
        ),
    }
    other = CONTEXT_BYTES + FRAGMENTATION * sum(parts.values())
    # Split weights are written by all ranks together, while training waits.
    copied = _bytes_in_checkpoint(trained, settings) + parts["optimizer"] if num_shards == 1 else 0.0
    return Memory(**parts, other=other, checkpoint=copied)


def _bytes_of_weights(trained: nn.Module, settings: Train) -> float:
    num_weights = sum(parameter.numel() for parameter in trained.parameters())
    if settings.base_weights != "float32":
        return bytes_when_packed(trained, settings.base_weights)[0]
    return num_weights * (2 if settings.weights == "bf16" else _FLOAT)


def _bytes_in_checkpoint(trained: nn.Module, settings: Train) -> float:
    """Return the bytes of the weights that a checkpoint holds: of a model with packed ones, those that move."""
    if settings.base_weights == "float32":
        return _bytes_of_weights(trained, settings)
    return float(_FLOAT * sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad))


def _copies(trained: nn.Module, settings: Train) -> float:
    """Return the bytes of weights in the precision of the products, where all are whole on each GPU."""
    num_weights = sum(parameter.numel() for parameter in trained.parameters())
    if settings.base_weights != "float32":
        # Of what moves, and two of the largest matrix, unpacked one at a time, where it is not used as it lies.
        moving = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
        if settings.precision == "float32":
            return 2 * _FLOAT * bytes_when_packed(trained, settings.base_weights)[1]
        largest = 0 if settings.base_weights == "bf16" else bytes_when_packed(trained, settings.base_weights)[1]
        return 2 * 2 * largest + 2 * moving
    if settings.weights == "bf16":
        # Without autocast each weight is widened, and its copy kept for the backward pass.
        return num_weights * _FLOAT if settings.precision == "float32" else 0
    if settings.precision == "float32":
        return 0
    # Autocast keeps its copies of weights that move until the forward pass is through. Of those that do not, the
    # backward pass keeps them: of one layer at a time, and of the head, where layers are computed again.
    moving = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
    still = num_weights - moving
    if settings.gradient_checkpointing:
        model: Any = inner_model(trained)
        still = min(still, _largest_layer(trained) + model.get_output_embeddings().weight.numel())
    return 2 * (moving + still)


def fake_model(build: Callable[[], nn.Module]) -> tuple[nn.Module, FakeTensorMode]:
    """Build a model without memory for its weights, and return it with the mode in which it runs as if on a CPU."""
    with shapes_only():
        model = build()
    # Built on the meta device and turned into fake tensors afterwards: peft cannot build on fake ones, and autocast,
    # whose copies of activations are to be counted, does not work on the meta device.
    mode = FakeTensorMode()
    known: dict[int, tuple[Tensor, Any]] = {}
    for part in model.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    # Tied matrices stay one tensor.
                    known.setdefault(id(tensor), (tensor, _fake(tensor, mode)))
                    table[name] = known[id(tensor)][1]
    return model, mode


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Any:
    fake = FakeTensor(mode, tensor.detach().to("meta"), torch.device("cpu"))
    return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _activations(trained: nn.Module, num_tokens: int, settings: Train, known: Known) -> int:
    model = inner_model(trained)
    model.set_attn_implementation(COUNTED_ATTENTION)
    trained.train()
    lean = settings.kernels != "plain"
    whole = saved_bytes(trained, num_tokens, settings.precision, known, lean=lean)
    if not settings.gradient_checkpointing:
        return whole
    recompute_layers(model)
    kept = saved_bytes(trained, num_tokens, settings.precision, known, recomputes=True, lean=lean)
    recompute_layers(model, wanted=False)
    # One layer is computed again at a time: the whole, less what all layers but one keep.
    return kept + (whole - kept) // int(model.config.get_text_config(decoder=True).num_hidden_layers)


def _largest_layer(trained: nn.Module) -> int:
    return max(sum(parameter.numel() for parameter in layer.parameters()) for layer in layers_of(trained))


def _outside_layers(trained: nn.Module) -> int:
    inside = sum(parameter.numel() for parameter in layers_of(trained).parameters())
    return sum(parameter.numel() for parameter in trained.parameters()) - inside
