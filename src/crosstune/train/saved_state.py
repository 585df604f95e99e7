"""What a checkpoint holds of a phase: copied to the host and written behind the training, and loaded on any ranks.

Whole weights lie in the files of accelerate's own checkpoints. Split ones (FSDP2) are copied and written by all ranks
together, as torch.distributed.checkpoint has them, and are split anew where there are other ranks.
"""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object, save
from accelerate.utils.constants import FSDP_MODEL_NAME, OPTIMIZER_NAME, SAFE_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save as save_parts
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves, tree_map_only

from crosstune.runs.provenance import free_memory
from crosstune.train.methods.regularizers import Regularizer, save_states

# Of the host's free memory, for a copy: what else is there must not be swapped out for it.
_SHARE_OF_FREE = 0.5
_MODEL_PARTS, _OPTIMIZER_PARTS = f"{FSDP_MODEL_NAME}_0", f"{OPTIMIZER_NAME}_0"


def copied_state(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    regularizers: Sequence[Regularizer],
    writers: ProcessGroup | None,
) -> Callable[[Path], None] | None:
    """Copy the weights and moments of a phase to the host; return what writes the copy into a folder.

    ``optimizer`` is accelerate's own. Of whole weights the main process makes the copy; of split ones (FSDP2) each
    process copies its part, and all write together, in their threads, which speak to each other in ``writers``.

    None where a host has no room for the copies of its processes: all ranks get the same answer. None with DeepSpeed,
    whose checkpoints have a format of their own.
    """
    is_split = accelerator.is_fsdp2
    if not is_split and accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return None
    state: dict[str, Any] = (
        {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer.optimizer)}
        if is_split
        else {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    )
    if not _hosts_have_room(bytes_of_state(state) if is_split or accelerator.is_main_process else 0):
        return None
    if not is_split and not accelerator.is_main_process:
        return lambda _: None
    known: dict[tuple[int, torch.Size], Tensor] = {}
    copy: dict[str, Any] = tree_map_only(Tensor, lambda tensor: _on_host(tensor, known), state)

    def write(folder: Path) -> None:
        save(copy["model"], str(folder / SAFE_WEIGHTS_NAME), safe_serialization=True)
        save(copy["optimizer"], str(folder / f"{OPTIMIZER_NAME}.bin"), safe_serialization=False)
        # What they keep of the phase's begin never changes.
        save_states(regularizers, folder, None)

    def write_part(folder: Path) -> None:
        for name, place in (("model", _MODEL_PARTS), ("optimizer", _OPTIMIZER_PARTS)):
            save_parts({name: copy[name]}, storage_writer=FileSystemWriter(folder / place), process_group=writers)
        save_states(regularizers, folder, accelerator.process_index)

    return write_part if is_split else write


def _hosts_have_room(num_bytes: int) -> bool:
    """Return whether each host has room for what its processes would copy, of which this one copies ``num_bytes``."""
    node = platform.node()
    here = sum(number for other, number in gather_object([(node, num_bytes)]) if other == node)
    answers: list[bool] = gather_object([here <= _SHARE_OF_FREE * free_memory()])
    return all(answers)


def bytes_of_state(state: Any) -> int:
    """Return the bytes of all tensors in nested containers, of split ones those of this rank; shared ones once."""
    tensors = (tensor for tensor in tree_leaves(state) if isinstance(tensor, Tensor))
    return sum({_place(tensor): _part_here(tensor).nbytes for tensor in tensors}.values())


def _part_here(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _on_host(tensor: Tensor, known: dict[tuple[int, torch.Size], Tensor]) -> Tensor:
    """Return a copy on the host; tied matrices stay one."""
    place = _place(tensor)
    if place not in known:
        known[place] = _copy(tensor.detach())
    return known[place]


def _place(tensor: Tensor) -> tuple[int, torch.Size]:
    part = _part_here(tensor)
    # Moments in bytes are several tensors, and have no place of their own.
    has_none = hasattr(part, "__tensor_flatten__") or part.numel() == 0
    return (id(tensor) if has_none else part.data_ptr()), tensor.shape


def _copy(tensor: Any) -> Tensor:
    if not hasattr(tensor, "__tensor_flatten__"):
        copied: Tensor = tensor.to("cpu", copy=True)
        return copied
    names, context = tensor.__tensor_flatten__()
    # Of a split tensor, the devices that it is split over are a part, too.
    inner = {name: getattr(tensor, name) for name in names}
    parts = {name: _copy(part) if isinstance(part, Tensor) else part for name, part in inner.items()}
    made: Tensor = type(tensor).__tensor_unflatten__(parts, context, tensor.size(), tensor.stride())
    return made


def save_state(accelerator: Accelerator, regularizers: Sequence[Regularizer], folder: Path) -> None:
    """Write weights and moments as they are, by all ranks together."""
    with _unwrapped(accelerator):
        accelerator.save_state(str(folder))
    part = accelerator.process_index if accelerator.is_fsdp2 else None
    if accelerator.is_main_process or part is not None:
        save_states(regularizers, folder, part)


def load_state(accelerator: Accelerator, model: nn.Module, optimizer: Any, folder: Path) -> None:
    """Load a checkpoint's weights and moments, however they were split when it was written.

    ``model`` is what is inside accelerate's wrapper, ``optimizer`` accelerate's own.
    """
    if accelerator.is_fsdp2 == _was_split(folder):
        with _unwrapped(accelerator):
            accelerator.load_state(str(folder))
    elif accelerator.is_fsdp2:
        _load_whole_in_parts(folder, model, optimizer.optimizer)
    else:
        _load_parts_whole(folder, model, optimizer.optimizer)


@contextmanager
def _unwrapped(accelerator: Accelerator) -> Iterator[None]:
    """Let accelerate save and load the model inside DDP: a checkpoint's names do not tell how many processes it had."""
    wrapped = accelerator._models
    accelerator._models = [one.module if isinstance(one, DistributedDataParallel) else one for one in wrapped]
    try:
        yield
    finally:
        accelerator._models = wrapped


def _was_split(folder: Path) -> bool:
    """Return whether a checkpoint holds parts of weights that FSDP2 had split."""
    return (folder / _MODEL_PARTS).is_dir()


def _load_parts_whole(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint of split weights where each process holds whole ones."""
    alone = not torch.distributed.is_initialized()
    weights = {"model": get_model_state_dict(model)}
    load(weights, storage_reader=FileSystemReader(folder / _MODEL_PARTS), no_dist=alone)
    set_model_state_dict(model, weights["model"])
    moments = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    load(moments, storage_reader=FileSystemReader(folder / _OPTIMIZER_PARTS), no_dist=alone)
    set_optimizer_state_dict(model, optimizer, moments["optimizer"])


def _load_whole_in_parts(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint of whole weights where FSDP2 has split them over the ranks."""
    whole = load_file(folder / SAFE_WEIGHTS_NAME)
    with torch.no_grad():
        # Of tied matrices one name is in the file, and the one matrix is loaded by it.
        for name, tensor in (*model.named_parameters(remove_duplicate=False), *model.named_buffers()):
            if name in whole:
                tensor.copy_(_part_of(whole[name], tensor))
    content = torch.load(folder / f"{OPTIMIZER_NAME}.bin", map_location="cpu", weights_only=True)
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    content["state"] = {
        number: {
            # The number of steps is no moment.
            name: _part_of(value, trained[number]) if isinstance(value, Tensor) and value.ndim else value
            for name, value in state.items()
        }
        for number, state in content["state"].items()
    }
    optimizer.load_state_dict(content)


def _part_of(whole: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor as another one lies over the ranks: split as that is, or as it is."""
    if not isinstance(like, DTensor):
        return whole
    # Each rank has the whole, and takes its part.
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def parts_here(model: nn.Module, saved: Mapping[int, Mapping[str, Tensor]]) -> dict[int, dict[str, Tensor]]:
    """Return what regularizers saved of a model's weights, of each weight the part that is on this rank."""
    weights = dict(model.named_parameters())

    def here(name: str, whole: Tensor) -> Tensor:
        part = _part_of(whole, weights[name]) if name in weights else whole
        return part.to_local() if isinstance(part, DTensor) else part

    return {index: {name: here(name, whole) for name, whole in state.items()} for index, state in saved.items()}
