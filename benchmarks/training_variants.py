"""The models and trainers that the training benchmarks compare: shapes, settings, and who is compared with whom."""

from dataclasses import dataclass
from typing import Any

MICRO_BATCH_TOKENS = 2048
MODELS: dict[str, dict[str, Any]] = {
    # The head is most of the work: flatters whoever skips it.
    "S": {"vocab_size": 46_336, "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 688, "heads": 4},
    # The head is 2 to 4 %: the mix of work of a 7B model.
    "M": {"vocab_size": 2_048, "hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1376, "heads": 8},
    "miniature": {
        "vocab_size": 3_200,
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "intermediate_size": 512,
        "heads": 6,
    },
    # SmolLM2-135M's shape, a real model that two cores train.
    "SmolLM2": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "intermediate_size": 1536,
        "heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
}


def batch_rows_of(model: str) -> int:
    """Return the rows of a step; fewer where a step of 32 would take half a minute."""
    return 16 if model == "SmolLM2" else 32


@dataclass(frozen=True)
class Variant:
    """A trainer and its settings; `fast`: with the process settings of `crosstune.models.process.prepare_libraries`.

    `bf16`: products in bfloat16, by autocast, of weights in float32. The peers split a batch by
    `micro_batch_rows`, crosstune by `micro_batch_tokens`; larger tensors leave the core's cache. `liger`: with Liger's
    kernels for norms, rotary embedding and gate.
    """

    trainer: str
    attention: str = "eager"
    micro_batch_rows: int | None = None
    fast: bool = True
    padding_free: bool = False
    liger: bool = False
    bf16: bool = False
    micro_batch_tokens: int = MICRO_BATCH_TOKENS


VARIANTS = {
    "crosstune": Variant("crosstune"),
    "crosstune_1536": Variant("crosstune", micro_batch_tokens=1536),
    "trainer": Variant("trainer", micro_batch_rows=8),
    "trl": Variant("trl", micro_batch_rows=8),
    "trainer_as_is": Variant("trainer", micro_batch_rows=8, fast=False),
    "trl_as_is": Variant("trl", micro_batch_rows=8, fast=False),
    "crosstune_bf16": Variant("crosstune", bf16=True),
    "trainer_bf16": Variant("trainer", micro_batch_rows=8, bf16=True),
    "trl_bf16": Variant("trl", micro_batch_rows=8, bf16=True),
    "trainer_bf16_as_is": Variant("trainer", micro_batch_rows=8, bf16=True, fast=False),
    "trl_bf16_as_is": Variant("trl", micro_batch_rows=8, bf16=True, fast=False),
    # What else was tried; see docs/performance.md.
    "trainer_whole": Variant("trainer"),
    "trainer_sdpa": Variant("trainer", "sdpa", micro_batch_rows=8),
    "trainer_bf16_whole": Variant("trainer", bf16=True),
    "trainer_bf16_sdpa": Variant("trainer", "sdpa", micro_batch_rows=8, bf16=True),
    "trl_whole": Variant("trl"),
    "trl_sdpa": Variant("trl", "sdpa", micro_batch_rows=8),
    "trl_padding_free": Variant("trl", padding_free=True),
    "trl_padding_free_sdpa": Variant("trl", "sdpa", padding_free=True),
}
# With ours in a precision are compared: the fastest setting of Trainer and TRL in the same precision, and that without
# our process settings; in bf16 ours in float32, too.
COMPARED = {
    "float32": ["trainer", "trl", "trainer_as_is", "trl_as_is"],
    "bf16": ["crosstune", "trainer_bf16", "trl_bf16", "trainer_bf16_as_is", "trl_bf16_as_is"],
}
