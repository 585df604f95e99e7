"""What concerns the whole process: kernels, allocation, and the remarks of libraries."""

import ctypes
import os
import sys
from logging import ERROR, getLogger

import torch
from transformers.utils import logging

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Larger tensors go back to the kernel: kept, they would leave holes that the next, a little larger one does not fit.
_MAX_KEPT_BYTES = 2**28
# A micro-batch's layers take turns at about 25 kernels; another number of tokens needs others.
_KEPT_KERNELS = 32


def prepare_libraries() -> None:
    """Set what concerns the whole process: fast matrix products, and no bars and remarks of libraries between ours."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    getLogger("accelerate").setLevel(ERROR)
    _use_fast_matrix_kernels()
    _keep_few_kernels()
    _leave_out_attention_by_cudnn()
    if not torch.cuda.is_available():
        _keep_freed_memory()


def _use_fast_matrix_kernels() -> None:
    """Let float32 matrix products run through oneDNN on CPUs where that stays float32.

    oneDNN's float32 kernels are about twice as fast as the default ones. On CPUs with AMX the same setting lets
    products run in bfloat16, so there the default stays.
    """
    # https://docs.pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html
    if not torch.cuda.is_available() and not torch.cpu._is_amx_tile_supported():
        torch.set_float32_matmul_precision("medium")


def _keep_few_kernels() -> None:
    """Let oneDNN keep as many compiled products as are soon met again, not the last 1,024 as by default.

    It compiles each product, in 0.5 ms, for its number of tokens, which few micro-batches have in common, and each
    keeps 0.6 MB in places where large tensors lay, which find none there again. Must come before the first product.
    """
    # https://uxlfoundation.github.io/oneDNN/dev_guide_primitive_cache.html; the other is of PyTorch's side of it.
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(_KEPT_KERNELS))


def _leave_out_attention_by_cudnn() -> None:
    """Let torch choose among its other fused kernels on GPUs, which take any shape as it comes.

    cuDNN, which torch 2.11 takes first on an H100, plans each shape of attention anew: others measured 0.44 s forward
    and 0.55 s backward on a B200. A packed batch has several shapes that none before it had.
    """
    # https://github.com/modelscope/FunASR/issues/3704
    torch.backends.cuda.enable_cudnn_sdp(False)


def _keep_freed_memory() -> None:
    """Let malloc keep what tensors free, instead of handing it back to the kernel and asking for it again.

    A training step frees and allocates the same few large tensors over and over. By default glibc unmaps them, and the
    kernel zeroes every page anew: a seventh of a step's time with 46,336 pieces. Without glibc nothing changes.
    """
    if sys.platform != "linux":
        return
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        # https://man7.org/linux/man-pages/man3/mallopt.3.html; the numbers are malloc.h's.
        allocator.mallopt(_M_MMAP_THRESHOLD, _MAX_KEPT_BYTES)
        allocator.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def seed_draws(device: torch.device, seed: int) -> None:
    """Seed what is drawn on a device; the CPU's draws as `torch.manual_seed` does."""
    if device.type == "cpu":
        # torch.manual_seed also notes who called it, for each kind of device that is not there: 0.5 ms and more.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
