"""The training loop: one visible step, on accelerate."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from crosstune.errors import CrosstuneError
from crosstune.models.kernels.inplace_gradients import fast_paths, prove_training
from crosstune.recipe import Phase, Train
from crosstune.terminal import progress, stop_requests
from crosstune.train.batches import Batch, Schedule, Share
from crosstune.train.checkpoint import Checkpoint, Checkpoints
from crosstune.train.checks import Check
from crosstune.train.error_messages import memory_advice, not_finite
from crosstune.train.learning_rate import learning_rate
from crosstune.train.loader import batches
from crosstune.train.loss import summed_loss
from crosstune.train.methods.deepspeed import clip_gradient, set_engine
from crosstune.train.methods.optimizer import make_optimizer, set_learning_rate
from crosstune.train.methods.regularizers import save_states, saved_states
from crosstune.train.methods.trainable import Trainable
from crosstune.train.metrics import MetricsFile, StepResult, row_of_step
from crosstune.train.position import Position, Totals
from crosstune.train.row_index import Corpus
from crosstune.train.rows import Rows, Segment
from crosstune.train.speed import Speed
from crosstune.train.tracking import log


@dataclass(frozen=True)
class Job:
    """One phase of one system, ready to be trained.

    Attributes:
        title: for the progress bar.
        index: the stage's number.
        seed: of the run, for what is random inside a step (LoRA's dropout).
        speed: what the progress line measures speed by.
        checks: what is looked at while it trains.
        check_files: raises where the rows can no longer be read from the disk.
    """

    title: str
    index: int
    phase: Phase
    settings: Train
    seed: int
    rows: Rows
    schedule: Schedule
    trainable: Trainable
    speed: Speed
    checks: Sequence[Check] = ()
    check_files: Callable[[], None] = lambda: None


def train(
    job: Job, accelerator: Accelerator, begin: Checkpoint, files: tuple[Checkpoints, MetricsFile]
) -> tuple[nn.Module, Totals]:
    """Train a phase from a checkpoint on; return the wrapped model and what it saw.

    Ctrl-C and SIGTERM save a checkpoint and end cleanly.

    Raises:
        CrosstuneError: when a step gives no finite number, a checkpoint cannot be written, or the memory is too small.
    """
    checkpoints, metrics = files
    totals = begin.totals
    model, optimizer = _prepare(job, accelerator, begin)
    if accelerator.is_main_process:
        for file in (metrics, *(one.file for one in job.checks)):
            file.begin_at(begin.position if begin.folder else None)

    def save() -> None:
        checkpoint = Checkpoint(
            Position(job.index, totals.steps), totals=totals, done=begin.done, num_rows=len(job.rows)
        )
        checkpoints.write(checkpoint, lambda folder: _save_state(job, accelerator, folder))

    def look() -> None:
        position = Position(job.index, totals.steps)
        for one in job.checks:
            if one.is_due(position, num_steps):
                log(accelerator, begin.done, one.run(accelerator, model, position, job.settings.micro_batch_tokens))

    num_steps = job.schedule.num_steps
    share = Share(accelerator.process_index, accelerator.num_processes, job.settings.micro_batch_tokens)
    with (
        closing(batches(job.rows, job.schedule, totals.steps, share, job.check_files)) as loader,
        progress(job.title, num_steps) as advance,
        stop_requests() as stop_requested,
        fast_paths(job.trainable.model, accelerator, job.settings),
        memory_advice(job.title, job.settings.micro_batch_tokens),
    ):
        advance(totals.steps)
        look()
        started = time.monotonic()
        for batch in loader:
            result = train_step(job, accelerator, model, optimizer, batch)
            _count(totals, batch, time.monotonic() - started)
            row = row_of_step(job.index, batch, totals, result)
            if accelerator.is_main_process and (
                totals.steps % job.settings.log_every_steps == 0 or totals.steps == num_steps
            ):
                metrics.append(row)
                log(accelerator, begin.done, row)
            advance(1, _progress_note(row, job.speed))
            look()
            stopping = _on_any_rank(accelerator, stop_requested())
            if stopping or (totals.steps % job.settings.save_every_steps == 0 and totals.steps < num_steps):
                save()
            if stopping:
                raise KeyboardInterrupt
            started = time.monotonic()
    return model, totals


def train_step(
    job: Job,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
) -> StepResult:
    """Do one optimiser step over a global batch.

    The loss is the sum over supervised tokens divided by their number in the whole global batch, which every rank knows
    before it begins: no split into ranks and micro-batches changes the gradient.

    Raises:
        CrosstuneError: when the loss or its gradient is not finite; the weights are still those of the step before.
    """
    torch.manual_seed(_seed(job, batch.step, accelerator.process_index))
    rate = learning_rate(job.phase, batch.step, job.schedule.num_steps)
    set_learning_rate(optimizer, rate)
    seen: list[Segment] = []
    losses: list[torch.Tensor] = []
    for index, segments in enumerate(batch.micro_batches):
        accelerator.sync_gradients = index + 1 == len(batch.micro_batches)
        # Gradients are averaged over ranks: hence the factor num_processes. A rank without rows of its own computes
        # another's, for nothing: it must take part in the gathering of weights.
        weight = accelerator.num_processes / batch.num_supervised if segments else 0.0
        # Once, behind the last micro-batch; where weights are split (FSDP2), behind each: until then every rank keeps
        # the gradients of all weights.
        is_averaged = accelerator.sync_gradients or accelerator.is_fsdp2
        with nullcontext() if is_averaged else accelerator.no_sync(model):
            loss = summed_loss(model, segments or batch.any_row, accelerator.device, weight, job.trainable.penalty)
            accelerator.backward(loss.total)
        seen += segments
        losses.append(loss.per_segment[: len(segments)])
    # Fetched from the device once a step, not once a micro-batch.
    nats_of_seen = list(zip(seen, torch.cat(losses).tolist(), strict=True))
    nats = _nats_by_corpus(job, accelerator, nats_of_seen)
    grad_norm = clip_gradient(accelerator, model, optimizer, job.phase.max_grad_norm)
    if not np.isfinite([*nats.values(), grad_norm]).all():
        bad = [segment.origin for segment, value in nats_of_seen if not np.isfinite(value)]
        raise CrosstuneError(not_finite(f"{job.title}: step {batch.step + 1}", gather_object(bad), batch.origins()))
    optimizer.step()
    optimizer.zero_grad()
    for lever in job.trainable.levers:
        lever.after_step(rate)
    return StepResult(nats, grad_norm, rate)


def _prepare(job: Job, accelerator: Accelerator, begin: Checkpoint) -> tuple[Any, Any]:
    """Hand model and optimiser to accelerate, and load their state where a phase goes on."""
    set_engine(accelerator, job.phase, job.settings)
    optimizer = make_optimizer(job.trainable.model, job.phase, job.settings)
    model, optimizer = accelerator.prepare(job.trainable.model, optimizer)
    model.train()
    if begin.position.step:
        with _unwrapped(accelerator):
            accelerator.load_state(str(begin.folder))
    prove_training(job.trainable.model, model, accelerator, job.settings)
    saved = saved_states(begin.folder, _part(accelerator)) if begin.folder and begin.position.step else {}
    for place, lever in enumerate(job.trainable.levers):
        lever.begin(saved.get(place))
    return model, optimizer


def _save_state(job: Job, accelerator: Accelerator, folder: Path) -> None:
    with _unwrapped(accelerator):
        accelerator.save_state(str(folder))
    part = _part(accelerator)
    if accelerator.is_main_process or part is not None:
        save_states(job.trainable.levers, folder, part)


@contextmanager
def _unwrapped(accelerator: Accelerator) -> Iterator[None]:
    """Let accelerate save and load the model inside DDP: a checkpoint's names do not tell how many processes it had."""
    wrapped = accelerator._models
    accelerator._models = [one.module if isinstance(one, DistributedDataParallel) else one for one in wrapped]
    try:
        yield
    finally:
        accelerator._models = wrapped


def _part(accelerator: Accelerator) -> int | None:
    """Return which part of split weights is here; None where each rank has all of them."""
    return accelerator.process_index if accelerator.is_fsdp2 else None


def _nats_by_corpus(job: Job, accelerator: Accelerator, seen: Sequence[tuple[Segment, float]]) -> dict[Corpus, float]:
    """Return the summed loss of the global batch by language and source, the same on every rank."""
    nats = dict.fromkeys(job.rows.corpora, 0.0)
    for segment, value in seen:
        nats[segment.corpus] += value
    if accelerator.num_processes == 1:
        return nats
    summed = accelerator.reduce(
        torch.tensor(list(nats.values()), dtype=torch.float64, device=accelerator.device), reduction="sum"
    )
    return dict(zip(nats, summed.tolist(), strict=True))


def _on_any_rank(accelerator: Accelerator, value: bool) -> bool:
    """Return whether it is true of any rank: all of them save and stop behind the same step."""
    if accelerator.num_processes == 1:
        return value
    return bool(accelerator.reduce(torch.tensor(int(value), device=accelerator.device), reduction="sum") > 0)


def _count(totals: Totals, batch: Batch, seconds: float) -> None:
    totals.steps += 1
    totals.tokens += batch.num_tokens
    totals.supervised_tokens += batch.num_supervised
    totals.seconds += seconds


def _progress_note(row: Mapping[str, Any], speed: Speed) -> str:
    """Return the step's numbers in their order of weight: a narrow terminal shows the first ones."""
    seconds = max(row["seconds"], 1e-3)
    return "  ".join(
        (
            f"loss {row['loss']:.3f}",
            f"{row['loss_bits_per_byte']:.3f} bits/byte",
            f"{row['supervised_tokens'] / seconds:,.0f} supervised tokens/s",
            f"LR {row['learning_rate']:.1e}",
            f"MFU {speed.mfu(row['step'], seconds):.0%}",
        )
    )


def _seed(job: Job, step: int, rank: int) -> int:
    """Return a seed of its own for every step and rank: a resumed step draws what it would have drawn."""
    return int(np.random.SeedSequence([job.seed, job.index, step, rank]).generate_state(1)[0])
