"""crosstune extends an English-centric language model to a new language and measures what it gained and forgot.

The functions below are the commands' own, for notebooks and scripts; docs/api.md describes them. They are loaded when
they are first asked for: `import crosstune` loads no torch and prints nothing.
"""

from importlib import import_module
from logging import ERROR, getLogger
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from crosstune.api import (
        Picture,
        Report,
        extend_tokenizer,
        list_recipes,
        load_assistant,
        load_recipe,
        plan_training,
        plot_metrics,
        read_metrics,
        read_report,
        run,
        score,
        sweep,
        train_systems,
        translate,
        verify,
    )
    from crosstune.errors import CrosstuneError

__all__ = [
    "CrosstuneError",
    "Picture",
    "Report",
    "extend_tokenizer",
    "list_recipes",
    "load_assistant",
    "load_recipe",
    "plan_training",
    "plot_metrics",
    "read_metrics",
    "read_report",
    "run",
    "score",
    "sweep",
    "train_systems",
    "translate",
    "verify",
]

# transformers and peft load torchao and bitsandbytes where they are installed, which remark that their kernels for
# CUDA, or a hub's for CPUs with bf16, do not load. Here, because most rooms import transformers, and each of them loads
# this first.
for _name in ("torchao", "torch.utils._pytree", "bitsandbytes"):
    getLogger(_name).setLevel(ERROR)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'crosstune' has no attribute {name!r}; there are {', '.join(__all__)}")
    return getattr(import_module("crosstune.errors" if name == "CrosstuneError" else "crosstune.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
