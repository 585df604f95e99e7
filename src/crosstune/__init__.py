"""crosstune extends an English-centric language model to a new language and measures what was won and forgotten."""

from logging import ERROR, getLogger

__version__ = "0.1.0"

# transformers loads torchao where it is installed, which remarks that its kernels for CUDA do not load on a CPU. Here,
# because most rooms import transformers, and each of them loads this first.
for _name in ("torchao", "torch.utils._pytree"):
    getLogger(_name).setLevel(ERROR)
