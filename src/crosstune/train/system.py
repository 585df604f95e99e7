"""Training one system: its phases in order, resumed where they were interrupted, ending in a plain model folder."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.chat_template import template_of
from crosstune.models.kernels.fp8 import check_fp8
from crosstune.models.kernels.inplace_gradients import choose_kernels
from crosstune.models.layers import inner_model
from crosstune.models.load import load_tokenizer
from crosstune.models.paths import path_of
from crosstune.models.pieces import num_rows
from crosstune.recipe import Phase
from crosstune.runs import ranks
from crosstune.runs.files import write_json, write_jsonl
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.runs.hashes import MODEL_CARD, describe_files
from crosstune.terminal.output import note
from crosstune.tokens.store import mixture_tokens, watch_tokens
from crosstune.train.batches import make_schedule
from crosstune.train.checkpoint import Checkpoint, Checkpoints
from crosstune.train.loop import Job, TrainContext, train
from crosstune.train.methods.base_weights import check_base_weights, narrow_weights
from crosstune.train.methods.kept_adapter import refuse_another_place, save_adapter
from crosstune.train.methods.merge import merge_with_others
from crosstune.train.methods.optimizer import check_optimizer
from crosstune.train.methods.trainable import plain_model, refuse_sharded_weights
from crosstune.train.metrics import MetricsFile
from crosstune.train.model_folder import copy_tokenizer, save_model
from crosstune.train.new_rows.initialization import find_sources
from crosstune.train.new_rows.rows import RowSource, read_subwords
from crosstune.train.periodic_eval import PeriodicEval
from crosstune.train.position import Position
from crosstune.train.row_checks import check_pieces, check_place_in_data, check_positions
from crosstune.train.rows import Rows, make_rows
from crosstune.train.speed import speed_of
from crosstune.train.start import Start, build_model
from crosstune.train.task import TrainingTask, begun_with
from crosstune.train.tracking import make_accelerator
from crosstune.train.validation import held_out_text, score_text


def train_system(task: TrainingTask) -> None:
    """Train a system's phases from its newest checkpoint on, and write its model folder and ``system.json``."""
    accelerator = make_accelerator(task.recipe, task.name, task.folder)
    _say_how_to_use_all_gpus(accelerator)
    settings = task.recipe.train
    check_optimizer(settings, accelerator)
    check_base_weights(settings, accelerator)
    check_fp8(settings, accelerator, task.system.phases)
    for phase in task.system.phases:
        refuse_sharded_weights(accelerator, phase)
    checkpoints = Checkpoints(
        task.folder / "checkpoints",
        task.wanted,
        settings.keep_checkpoints,
        accelerator,
        keeps_starts=settings.base_weights != "float32",
        has_blocks=settings.optimizer == "adamw_8bit",
    )
    context = TrainContext(accelerator, checkpoints, MetricsFile(task.folder / "metrics.jsonl"))
    resume_from = checkpoints.newest()
    if accelerator.is_main_process:
        (task.folder / "system.json").unlink(missing_ok=True)
        if resume_from.folder is None:
            shutil.rmtree(task.folder / "adapter", ignore_errors=True)
            # Of an earlier training: this one may not be asked to score anything.
            for outdated in ("validation.jsonl", "scores_during_training.jsonl"):
                (task.folder / outdated).unlink(missing_ok=True)
    if resume_from.folder:
        note(f"{task.name}: resumes from phase {resume_from.position.phase + 1}, step {resume_from.position.step}")
    task = replace(task, sources=_sources(task, accelerator))
    tokenizer = load_tokenizer(str(task.start.tokenizer))
    # Who serves the model prompts it as it was trained.
    template = template_of(task.recipe)
    tokenizer.chat_template = template.chat_template()
    model, phases = _train_phases(task, context, resume_from, tokenizer)
    if accelerator.is_main_process:
        merged: dict[str, Any] = {}
        if task.system.merge:
            merged = merge_with_others(model, task.recipe, task.run, task.name, task.start)
        num_parameters = sum(parameter.numel() for parameter in model.parameters())
        instructions = template.instructions_by_direction(task.recipe.languages.directions)
        save_model(model, tokenizer, task.folder / "model", instructions)
        if (task.folder / "adapter").is_dir():
            copy_tokenizer(tokenizer, task.folder / "adapter")
        where = {"model": task.run.name_inside(task.folder / "model"), "revision": None}
        facts = facts_of(task.run, task.start, task.wanted, num_parameters, phases)
        files = describe_files(task.folder / "model", without=(MODEL_CARD,))
        write_json(task.folder / "system.json", {**where, **facts, "merge": merged, "files": files})
        checkpoints.clear()
    accelerator.wait_for_everyone()
    # Not `accelerator.end_training`: it takes the process group away from the systems that follow.
    for tracker in accelerator.trackers:
        tracker.finish()


def facts_of(
    run: RunFolder, start: Start, wanted: str, num_parameters: int, phases: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """Return what ``system.json`` says of any system, trained or not, besides where its model is."""
    return {
        "tokenizer": run.name_inside(start.tokenizer),
        "fingerprint": wanted,
        "num_parameters": num_parameters,
        "phases": list(phases),
        **({"gguf": dict(start.gguf)} if start.gguf else {}),
    }


def _train_phases(
    task: TrainingTask, context: TrainContext, resume_from: Checkpoint, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, tuple[dict[str, Any], ...]]:
    """Train the phases from a checkpoint on; return the model that they end in, and what ``system.json`` says of them.

    Without any it is the start, with rows for new pieces.
    """
    if not task.system.phases:
        return build_model(task.start, task.system, task.seed, task.sources)[0], ()
    while True:
        # What earlier systems and phases left; accelerate's models hold on to themselves.
        context.accelerator.free_memory()
        model, done = _train_phase(task, context, resume_from)
        resume_from = Checkpoint(Position(resume_from.position.phase + 1, 0), done=(*resume_from.done, done))
        if resume_from.position.phase == len(task.system.phases):
            return model, resume_from.done
        resume_from = _save_between_phases(resume_from, context.checkpoints, model, tokenizer)
        # The next phase loads it: a GPU should not hold both.
        del model


def _train_phase(
    task: TrainingTask, context: TrainContext, resume_from: Checkpoint
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Train one phase; return the model as plain transformers knows it, and what ``system.json`` says of the phase."""
    accelerator = context.accelerator
    index = resume_from.position.phase
    phase = task.system.phases[index]
    if phase.lora and phase.lora.keep_adapter and (task.start.needs_new_rows or not task.start.model):
        raise BadInputError(
            f"systems.{task.name}.phases.{index}.lora.keep_adapter: adapters alone fit a model that exists, but this "
            "one gets its (new) rows here. Leave it out: systems/NAME/model holds the merged model"
        )
    rows = _rows(task, index, accelerator)
    settings = task.recipe.train
    trainable = narrow_weights(begun_with(task, resume_from, context.checkpoints), settings)
    choose_kernels(trainable.model, accelerator.device, settings)
    check_positions(task.name, phase, rows, trainable.model.config)
    if phase.lora and phase.lora.keep_adapter:
        refuse_another_place(trainable.model, f"systems.{task.name}.phases.{index}.lora.keep_adapter")
    sizes = num_rows(inner_model(trainable.model)), len(load_tokenizer(str(task.start.tokenizer)))
    for mixture in phase.mixtures(task.system.start):
        check_pieces(task.name, mixture, _tokens(task, mixture, accelerator), sizes)
    schedule = make_schedule(len(rows), phase, (task.seed, index))
    check_place_in_data(task.name, resume_from, schedule)
    job = Job(
        title=f"{task.name}: {phase.title} on {phase.mixture}",
        index=index,
        phase=phase,
        settings=settings,
        seed=task.seed,
        rows=rows,
        schedule=schedule,
        trainable=trainable,
        speed=speed_of(trainable.model, rows, schedule, phase, task.recipe.train, accelerator),
        checks=_checks(task, phase, accelerator),
        check_files=_watch(task, phase),
    )
    trained, totals = train(job, context, resume_from)
    reading = path_of(trained, "training").facts()
    if phase.lora and phase.lora.keep_adapter:
        save_adapter(accelerator, trained, task.start.model, task.folder / "adapter")
    # What the phase began with, or only of the same shape, where that may be gone and all weights are in the trained.
    model = plain_model(
        accelerator,
        trained,
        lambda: begun_with(task, resume_from, context.checkpoints).model,
        is_frozen=settings.base_weights != "float32",
    )
    accelerator.free_memory()
    done: dict[str, Any] = {"mixture": phase.mixture, "method": phase.method, "trains": list(phase.trains)}
    if phase.replay:
        done["replay"] = phase.replay.model_dump(mode="json")
    if phase.preference:
        done["preference"] = phase.preference.model_dump(mode="json")
    return model, {**done, "num_processes": accelerator.num_processes, **asdict(totals), "reading": reading}


def _sources(task: TrainingTask, accelerator: Accelerator) -> tuple[RowSource, ...]:
    """Return what the rows of new pieces start from; none where the start has rows for all pieces."""
    if not task.start.needs_new_rows:
        return ()
    settings = task.system.new_rows
    tokens = _tokens(task, settings.mixture, accelerator) if settings.mixture else None
    targets = task.recipe.tokenizer.with_new_pieces(task.recipe.languages.targets)
    subwords = read_subwords(task.start.tokenizer)
    tokenizer = load_tokenizer(str(task.start.tokenizer))
    try:
        return find_sources(tokenizer, subwords, settings, tokens, targets, task.seed)
    except BadInputError as error:
        raise BadInputError(f"systems.{task.name}.{error}") from None


def _rows(task: TrainingTask, index: int, accelerator: Accelerator) -> Rows:
    """Return the rows of a phase, and write down which examples were too long for it."""
    phase = task.system.phases[index]
    tokens = [_tokens(task, mixture, accelerator) for mixture in phase.mixtures(task.system.start)]
    rows, too_long = make_rows(pa.concat_tables(tokens), phase)
    path = task.folder / f"too_long_in_phase_{index}.jsonl"
    if accelerator.is_main_process and too_long:
        write_jsonl(path, (asdict(row) for row in too_long))
    elif accelerator.is_main_process:
        path.unlink(missing_ok=True)
    return rows


def _tokens(task: TrainingTask, mixture: str, accelerator: Accelerator) -> pa.Table:
    """Return a mixture's tokens; one process makes them, the others read."""
    with accelerator.main_process_first():
        return mixture_tokens(task.run, mixture, task.system.tokenizer)


def _watch(task: TrainingTask, phase: Phase) -> Callable[[], None]:
    """Return a function that raises once a file of what a phase learns was cut or changed."""
    watches = [watch_tokens(task.run, mixture, task.system.tokenizer) for mixture in phase.mixtures(task.system.start)]

    def check() -> None:
        for watch in watches:
            watch()

    return check


def _checks(task: TrainingTask, phase: Phase, accelerator: Accelerator) -> list[PeriodicEval]:
    """Return what the recipe wants to have scored while the phase trains: held-out text, the suite."""
    settings = task.recipe.train
    checks = []
    facts: dict[str, Any]
    if settings.validation is not None:
        tokens = _tokens(task, settings.validation, accelerator)
        texts = held_out_text(tokens, load_tokenizer(str(task.start.tokenizer)), phase.max_length_tokens)
        file, every_steps = MetricsFile(task.folder / "validation.jsonl"), settings.validate_every_steps
        of_text = fingerprint_of(task.run.mixture(settings.validation))
        facts = {"fingerprint": fingerprint("held-out text", of_text, phase.max_length_tokens)}
        checks.append(PeriodicEval("validation", "bits_per_byte", partial(score_text, texts), every_steps, file, facts))
    if settings.score_every_steps is not None and task.score is not None:
        score, tokenizer = task.score, load_tokenizer(str(task.start.tokenizer))
        if accelerator.num_processes > 1:
            raise BadInputError(
                f"train.score_every_steps: {settings.score_every_steps} scores the suite inside training, which works "
                f"with one process; {accelerator.num_processes} were launched. Leave it out: train.validation shows "
                "gain and forgetting on several, and `crosstune evaluate` scores the result"
            )
        file = MetricsFile(task.folder / "scores_during_training.jsonl")
        every_steps = settings.score_every_steps
        facts = {"fingerprint": score.fingerprint, "max_items": settings.score_max_items}
        checks.append(
            PeriodicEval("suite", "scores", lambda _, model, __: score(model, tokenizer), every_steps, file, facts)
        )
    return checks


def _save_between_phases(
    resume_from: Checkpoint, checkpoints: Checkpoints, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> Checkpoint:
    """Write the checkpoint that the next phase begins with, whether the run is interrupted or not."""

    def write(folder: Path) -> None:
        if checkpoints.accelerator.is_main_process:
            save_model(model, tokenizer, folder / "model")

    checkpoints.write(resume_from, write)
    return checkpoints.newest()


def _say_how_to_use_all_gpus(accelerator: Accelerator) -> None:
    num_gpus = torch.cuda.device_count()
    if num_gpus > 1 and accelerator.num_processes == 1 and ranks.num_ranks() == 1:
        launch = "accelerate launch --config_file recipes/launch/one_node_8_gpus.yaml -m crosstune train RECIPE"
        note(f"one process trains on one of {num_gpus} GPUs; for all of them: {launch}")
