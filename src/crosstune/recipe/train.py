"""The section ``train``: how training runs on the machine."""

from typing import Literal

from pydantic import Field

from crosstune.recipe.section import Count, Name, Section


class Train(Section):
    """How training runs on the machine; nothing here changes what is learned (but for rounding)."""

    precision: Literal["float32", "bf16", "fp8"] = Field(
        "float32", description="of products. fp8 is for GPUs that have it (extra `eight_bit`)"
    )
    weights: Literal["float32", "bf16"] = Field(
        "float32",
        description="of weights that move, and their gradients; bf16 rounds them at random, so that small updates are "
        "not lost (extra `eight_bit`). For `method: full`, `trains: [all]`",
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit keeps AdamW's moments of large matrices in one byte each (extra `eight_bit`)"
    )
    base_weights: Literal["float32", "bf16", "nf4", "int8"] = Field(
        "float32",
        description="of weights that do not move: linear layers; with all but float32 also embeddings and head, in "
        "bf16. For LoRA, new rows and top layers. nf4 and int8: extra `quantized`",
    )
    micro_batch_tokens: Count = Field(4096, description="tokens per forward pass and device")
    gradient_checkpointing: bool = Field(
        False, description="compute layers again in the backward pass: less memory, about a third more time"
    )
    kernels: Literal["auto", "plain"] = Field(
        "auto",
        description="auto: faster computations instead of the library's, each where it proves equal on this "
        "machine; plain: the library's own",
    )
    flex_attention: bool | None = Field(
        None, description="attention as one FlexAttention kernel, compiled by torch; on GPUs where it works if absent"
    )
    log_every_steps: Count = Field(1, description="a row of metrics.jsonl")
    save_every_steps: Count = Field(200, description="a checkpoint; a kill loses at most so many steps")
    keep_checkpoints: Count = Field(2, description="older ones are deleted; two, since the newest may be damaged")
    validation: Name | None = Field(
        None, description="a mixture of held-out plain text, scored by language while systems train"
    )
    validate_every_steps: Count = Field(200, description="how often `validation` is scored")
    score_every_steps: Count | None = Field(
        None, description="score the suite so often while systems train, for the curve of gain and forgetting"
    )
    score_tasks: tuple[Name, ...] = Field((), description="which of evaluate.tasks then; all if empty")
    score_max_items: Count = Field(100, description="items of each task then")
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="where steps are logged besides metrics.jsonl"
    )
