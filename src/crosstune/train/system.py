"""Training one system: its stages in order, resumed where they were interrupted, ending in a plain model folder."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from crosstune.artifacts import RunFolder, read_json, write_json
from crosstune.errors import BadInputError
from crosstune.examples import read_examples
from crosstune.models import load_model
from crosstune.packing import ATTENTION
from crosstune.recipe import Recipe, Stage, System
from crosstune.terminal import note
from crosstune.train.batches import make_schedule
from crosstune.train.checkpoint import Checkpoints, Position
from crosstune.train.loop import Job, train
from crosstune.train.metrics import MetricsFile
from crosstune.train.new_rows import FrozenOldRows, read_subwords
from crosstune.train.rows import make_rows
from crosstune.train.start import Start, build_model

_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


@dataclass(frozen=True)
class Task:
    """One system that is to be trained.

    Attributes:
        start: what it starts from.
        wanted: the fingerprint of everything that decides how it turns out.
    """

    recipe: Recipe
    run: RunFolder
    name: str
    start: Start
    wanted: str

    @property
    def system(self) -> System:
        """Return the system's section of the recipe."""
        return self.recipe.systems[self.name]

    @property
    def folder(self) -> Path:
        """Return the system's folder."""
        return self.run.system(self.name)


def train_system(task: Task) -> None:
    """Train a system's stages from its newest checkpoint on, and write its model folder and ``system.json``."""
    accelerator = Accelerator(mixed_precision="bf16" if task.recipe.train.precision == "bf16" else "no")
    _say_how_to_use_all_gpus(accelerator)
    if accelerator.is_main_process:
        (task.folder / "system.json").unlink(missing_ok=True)
    keep = task.recipe.train.keep_checkpoints
    checkpoints = Checkpoints(task.folder / "checkpoints", task.wanted, accelerator.num_processes, keep)
    found = checkpoints.newest()
    position = found[0] if found else Position(0, 0)
    if found:
        note(f"{task.name}: goes on from stage {position.stage}, step {position.step}")
    # Totals of the stages that are done, written at their ends.
    done = read_json(task.folder / "stages.json")[: position.stage] if position.stage else []
    model, tokenizer = build_model(task.start, task.system, task.recipe.seed)
    if position.stage:
        model = load_model(str(_stage_folder(task, position.stage - 1)))
    for index in range(position.stage, len(task.system.stages)):
        first_step = position.step if index == position.stage else 0
        model, facts = _train_stage(task, (index, first_step), (accelerator, checkpoints), (model, tokenizer))
        done = [*done, facts]
        if accelerator.is_main_process and index + 1 < len(task.system.stages):
            _save_model(model, tokenizer, _stage_folder(task, index))
            write_json(task.folder / "stages.json", done)
            checkpoints.temporary(Position(index + 1, 0)).mkdir(parents=True)
            checkpoints.finish(Position(index + 1, 0))
        accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _save_model(model, tokenizer, task.folder / "model")
        where = {"model": str(task.folder / "model"), "revision": None}
        size = {"num_parameters": sum(parameter.numel() for parameter in model.parameters())}
        write_json(task.folder / "system.json", {**where, **size, **facts_of(task.start, task.wanted, done)})
        checkpoints.clear()
        for index in range(len(task.system.stages) - 1):
            shutil.rmtree(_stage_folder(task, index), ignore_errors=True)
        (task.folder / "stages.json").unlink(missing_ok=True)
    accelerator.wait_for_everyone()


def facts_of(start: Start, wanted: str, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``system.json`` says of any system, trained or not."""
    return {"tokenizer": str(start.tokenizer), "fingerprint": wanted, "stages": stages}


def _train_stage(
    task: Task,
    index_and_step: tuple[int, int],
    machinery: tuple[Accelerator, Checkpoints],
    model_and_tokenizer: tuple[PreTrainedModel, PreTrainedTokenizerBase],
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Train one stage and return the model as plain transformers knows it, and the stage's totals."""
    index, first_step = index_and_step
    accelerator, checkpoints = machinery
    model, tokenizer = model_and_tokenizer
    stage = task.system.stages[index]
    rows = make_rows(read_examples(task.run.mixture(stage.mixture) / "examples.parquet"), tokenizer, stage)
    prepared, after_step = _prepare(task, model, stage)
    job = Job(
        title=f"{task.name}: {stage.method} on {stage.mixture}",
        index=index,
        stage=stage,
        settings=task.recipe.train,
        seed=task.recipe.seed,
        rows=rows,
        schedule=make_schedule(len(rows), stage, (task.recipe.seed, index)),
        sources=sorted({segment.source for row in rows for segment in row}),
        after_step=after_step,
    )
    metrics = MetricsFile(task.folder / "metrics.jsonl")
    trained, totals = train(job, accelerator, prepared, (checkpoints, metrics), first_step)
    whole = _whole_model(accelerator, trained, lambda: _prepare(task, _rebuild(task, index), stage)[0])
    accelerator.free_memory()
    return whole, {"mixture": stage.mixture, "method": stage.method, **vars(totals)}


def _prepare(task: Task, model: PreTrainedModel, stage: Stage) -> tuple[nn.Module, Callable[[], None]]:
    """Choose what is trained; return the model to train and what must happen behind each step."""
    model.set_attn_implementation(ATTENTION)
    if task.recipe.train.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
    if stage.method == "new_rows":
        old_size = read_subwords(task.start.tokenizer).old_size if task.system.tokenizer == "extended" else None
        if old_size is None:
            raise BadInputError(
                f"systems.{task.name}: `method: new_rows` trains the rows of new pieces, but this system's tokenizer "
                "is `base`, which has none: set `tokenizer: extended`, or another method"
            )
        return model, FrozenOldRows(model, old_size).restore
    if stage.method == "lora":
        assert stage.lora is not None
        torch.manual_seed(task.recipe.seed)
        lora = stage.lora
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.targets),
            task_type="CAUSAL_LM",
        )
        return _with_adapters(task, model, config), lambda: None
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model, lambda: None


def _with_adapters(task: Task, model: PreTrainedModel, config: LoraConfig) -> nn.Module:
    try:
        adapted: nn.Module = get_peft_model(model, config)
    except ValueError as error:
        leaves = sorted(
            {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
        )
        raise BadInputError(
            f"systems.{task.name}: LoRA targets {sorted(config.target_modules or ())} do not fit this model ({error}); "
            f"its linear layers are {', '.join(leaves)}"
        ) from None
    return adapted


def _whole_model(accelerator: Accelerator, model: nn.Module, rebuild: Callable[[], nn.Module]) -> PreTrainedModel:
    """Return the trained model unwrapped, unsharded (on the main process), with adapters merged."""
    if accelerator.distributed_type in _SHARDED:
        state = accelerator.get_state_dict(model)
        whole = rebuild()
        if accelerator.is_main_process:
            whole.load_state_dict(state)
    else:
        whole = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    merged = whole.merge_and_unload() if isinstance(whole, PeftModel) else whole
    return cast(PreTrainedModel, merged)


def _rebuild(task: Task, index: int) -> PreTrainedModel:
    """Return a model of the shape that a stage starts from."""
    if index:
        return load_model(str(_stage_folder(task, index - 1)))
    return build_model(task.start, task.system, task.recipe.seed)[0]


def _stage_folder(task: Task, index: int) -> Path:
    """Return where the model lies between a stage and the next."""
    return task.folder / "stages" / str(index)


def _save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a plain model folder, aside and renamed, that transformers loads and generates from greedily."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.set_attn_implementation("sdpa")
    model.eval()  # type: ignore[no-untyped-call]
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, do_sample=False
    )
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _say_how_to_use_all_gpus(accelerator: Accelerator) -> None:
    num_gpus = torch.cuda.device_count()
    if num_gpus > 1 and accelerator.num_processes == 1 and "LOCAL_RANK" not in os.environ:
        note(
            f"one process trains on one of {num_gpus} GPUs; for all of them: accelerate launch --config_file "
            "recipes/launch/one_node_8_gpus.yaml -m crosstune train RECIPE"
        )
