"""The section ``train``: how training runs on the machine."""

from typing import Literal

from pydantic import Field

from crosstune.recipe.section import Count, Name, Section


class Train(Section):
    """How training runs on the machine; nothing here changes what is learned (but for rounding)."""

    precision: Literal["float32", "bf16", "fp8"] = Field(
        "float32", description="precision of matrix products; fp8 needs a GPU that supports it (extra `eight_bit`)"
    )
    weights: Literal["float32", "bf16"] = Field(
        "float32",
        description="type of trained weights and their gradients; bf16 uses stochastic rounding, so that small "
        "updates are not lost (extra `eight_bit`). For `method: full`, `trains: [all]`",
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit keeps AdamW's moments of large matrices in one byte each (extra `eight_bit`)"
    )
    base_weights: Literal["float32", "bf16", "nf4", "int8"] = Field(
        "float32",
        description="type of frozen weights of linear layers; with all but float32, embeddings and head are in bf16. "
        "For LoRA, new rows and top layers. nf4 and int8: extra `quantized`",
    )
    micro_batch_tokens: Count = Field(4096, description="tokens per forward pass and device")
    gradient_checkpointing: bool = Field(
        False, description="recompute layers in the backward pass: less memory, about a third more time"
    )
    kernels: Literal["auto", "plain"] = Field(
        "auto",
        description="auto: faster kernels, each if it equals the library's on this machine; plain: the library's own",
    )
    flex_attention: bool | None = Field(
        None, description="attention as one FlexAttention kernel, compiled by torch [on GPUs where it works]"
    )
    log_every_steps: Count = Field(1, description="steps between rows of metrics.jsonl")
    save_every_steps: Count = Field(200, description="steps between checkpoints")
    keep_checkpoints: Count = Field(
        2, description="number of checkpoints to keep; two, because the newest may be damaged"
    )
    validation: Name | None = Field(
        None, description="a mixture of held-out plain text, scored by language during training"
    )
    validate_every_steps: Count = Field(200, description="steps between scores of `validation`")
    score_every_steps: Count | None = Field(None, description="steps between scores of the tasks during training")
    score_tasks: tuple[Name, ...] = Field((), description="tasks of evaluate.tasks to score during training [all]")
    score_max_items: Count = Field(100, description="items of each task during training")
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="trackers to log to besides metrics.jsonl"
    )
