"""The training loop: one visible step, on accelerate."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from crosstune.models.kernels.inplace_gradients import fast_paths, prove_training
from crosstune.models.paths import way_of
from crosstune.models.process import seed_draws
from crosstune.recipe import Phase, Train
from crosstune.terminal.bars import progress
from crosstune.terminal.stopping import stop_requests
from crosstune.train.batches import Batch, Schedule, Share
from crosstune.train.checkpoint import Checkpoint, Checkpoints
from crosstune.train.error_messages import memory_advice
from crosstune.train.learning_rate import learning_rate
from crosstune.train.loader import batches
from crosstune.train.methods.deepspeed import clip_gradient, set_engine
from crosstune.train.methods.optimizer import make_optimizer, set_learning_rate
from crosstune.train.methods.preference import log_probabilities
from crosstune.train.methods.regularizers import saved_states
from crosstune.train.methods.trainable import Trainable
from crosstune.train.metrics import MetricsFile, row_of_step
from crosstune.train.periodic_eval import PeriodicEval
from crosstune.train.position import Position, Totals
from crosstune.train.rows import Rows, Segment
from crosstune.train.saved_state import copied_state, load_state, parts_here, save_state
from crosstune.train.speed import Speed
from crosstune.train.step_in_flight import RankStep, StepInFlight, in_flight
from crosstune.train.tracking import log

_NO_RANK = 2**31  # beyond any
# Steps whose numbers are not read; each keeps its rows.
_MOST_IN_FLIGHT = 20


@dataclass(frozen=True)
class Job:
    """One phase of one system, ready to be trained.

    Attributes:
        title: for the progress bar.
        index: the phase's number.
        seed: of the run, for what is random inside a step (LoRA's dropout).
        speed: what the progress line measures speed by.
        checks: what is scored while it trains.
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
    checks: Sequence[PeriodicEval] = ()
    check_files: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class TrainContext:
    """What all phases of a system are trained with, and where they write what must survive a kill."""

    accelerator: Accelerator
    checkpoints: Checkpoints
    metrics: MetricsFile


def train(job: Job, context: TrainContext, resume_from: Checkpoint) -> tuple[nn.Module, Totals]:
    """Train a phase from a checkpoint on; return the wrapped model and what it saw.

    Ctrl-C and SIGTERM save a checkpoint and end cleanly.

    Raises:
        CrosstuneError: when a step gives no finite number, a checkpoint cannot be written, or the memory is too small.
    """
    accelerator = context.accelerator
    model, optimizer = _prepare(job, accelerator, resume_from)
    if accelerator.is_main_process:
        for file in (context.metrics, *(check.file for check in job.checks)):
            file.resume_at(resume_from.position if resume_from.folder else None)
    way = way_of(job.trainable.model, "training", int(job.rows.facts.length.max()))
    ranks = accelerator.process_index, accelerator.num_processes
    share = Share(*ranks, job.settings.micro_batch_tokens, way, has_pairs=job.trainable.preference is not None)
    with (
        closing(batches(job.rows, job.schedule, resume_from.totals.steps, share, job.check_files)) as loader,
        progress(job.title, job.schedule.num_steps) as advance,
        stop_requests() as stop_requested,
        fast_paths(job.trainable.model, accelerator, job.settings),
        memory_advice(job.title, job.settings.micro_batch_tokens, way),
        context.checkpoints.all_written(),
    ):
        advance(resume_from.totals.steps)
        if preference := job.trainable.preference:
            preference.begin(lambda: log_probabilities(accelerator, model, job.rows, share.micro_batch_tokens))
        after = _AfterSteps(job, context, (model, optimizer), resume_from, advance)
        after.run_checks()
        for batch in loader:
            after.step(train_step(job, accelerator, model, optimizer, batch, stop_requested()))
    return model, after.totals


class _AfterSteps:
    """What is done after steps: write their numbers down, run the checks that are due, save checkpoints.

    On a GPU, numbers are read when they are logged, while it computes the step after them. All are read before anything
    rests on them: no checkpoint and no score is of weights behind a step that was not finite. ``totals`` are of the
    steps whose numbers were read.
    """

    def __init__(
        self,
        job: Job,
        context: TrainContext,
        trained: tuple[nn.Module, torch.optim.Optimizer],
        resume_from: Checkpoint,
        advance: Callable[[int, str], None],
    ) -> None:
        self._job, self._context = job, context
        self._model, self._optimizer = trained
        self._resume_from, self._advance = resume_from, advance
        self.totals = resume_from.totals
        self._in_flight: deque[StepInFlight] = deque()
        self._stopping = False
        self._since = time.monotonic()

    def step(self, step: StepInFlight) -> None:
        """Follow a step; raise KeyboardInterrupt where a rank was asked to stop, with a checkpoint saved."""
        self._context.checkpoints.look()
        self._in_flight.append(step)
        job, done = self._job, step.batch.step + 1
        is_last = done == job.schedule.num_steps
        position = Position(job.index, done)
        has_checks = any(check.is_due(position, job.schedule.num_steps) for check in job.checks)
        is_saved = done % job.settings.save_every_steps == 0 and (has_checks or not is_last)
        rests_on_all = is_last or is_saved or has_checks or self._stops_alone(step)
        self._read(0 if rests_on_all or step.copied is None else self._num_left(done))
        if self._stopping:
            self._read(0)
        if is_saved or self._stopping:
            self._save()
        if self._stopping:
            self._context.checkpoints.wait()
            raise KeyboardInterrupt
        # Behind the checkpoint: a kill in the middle of them costs no step. Resumed there, a run makes those it lacks.
        if has_checks:
            self.run_checks()
        if not self._in_flight:
            self._since = time.monotonic()

    def run_checks(self) -> None:
        """Score held-out text and the suite, where that is due."""
        accelerator = self._context.accelerator
        position, budget = Position(self._job.index, self.totals.steps), self._job.settings.micro_batch_tokens
        for check in self._job.checks:
            if check.is_due(position, self._job.schedule.num_steps):
                log(accelerator, self._resume_from.done, check.run(accelerator, self._model, position, budget))
        self._since = time.monotonic()

    def _stops_alone(self, step: StepInFlight) -> bool:
        return step.is_asked_to_stop and self._context.accelerator.num_processes == 1

    def _num_left(self, done: int) -> int:
        """Return how many steps of a GPU are not read yet: those behind the last one that is logged."""
        # Several ranks tell each other with these numbers that one was asked to stop.
        alone = self._context.accelerator.num_processes == 1
        every = min(self._job.settings.log_every_steps, _MOST_IN_FLIGHT) if alone else 1
        return done - (done - 1) // every * every

    def _read(self, num_left: int) -> None:
        """Read the numbers of the steps in flight but the last ones, and write them down."""
        job, accelerator, totals = self._job, self._context.accelerator, self.totals
        while len(self._in_flight) > num_left:
            step = self._in_flight.popleft()
            result = step.result(job.title)
            now = time.monotonic()
            _count(totals, step.batch, now - self._since)
            self._since = now
            self._stopping |= result.is_asked_to_stop
            row = row_of_step(job.index, step.batch, totals, result)
            is_last = totals.steps == job.schedule.num_steps
            if accelerator.is_main_process and (totals.steps % job.settings.log_every_steps == 0 or is_last):
                self._context.metrics.append(row)
                log(accelerator, self._resume_from.done, row)
            self._advance(1, progress_note(row, job.speed))

    def _save(self) -> None:
        """Save a checkpoint: behind the training, where the hosts have room for a copy."""
        job, position = self._job, Position(self._job.index, self.totals.steps)
        totals = replace(self.totals)  # it counts on
        checkpoint = Checkpoint(position, totals=totals, done=self._resume_from.done, num_rows=len(job.rows))
        accelerator, checkpoints = self._context.accelerator, self._context.checkpoints
        # Beside a copy that is still being written there would be two.
        checkpoints.wait()
        trainable = job.trainable
        state = trainable.model, self._optimizer, trainable.regularizers
        write = copied_state(accelerator, *state, checkpoints.writers)
        if write is not None:
            checkpoints.write_behind(checkpoint, write)
        else:
            checkpoints.write(checkpoint, lambda folder: save_state(accelerator, trainable.regularizers, folder))


def train_step(
    job: Job,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    is_asked_to_stop: bool = False,
) -> StepInFlight:
    """Do one optimizer step over a global batch, or hand it to a GPU, which may end it later.

    The loss is the sum over supervised tokens (pairs) divided by their number in the whole global batch, known to every
    rank before: no split into ranks and micro-batches changes the gradient. Nothing is read from the device.
    """
    seed_draws(accelerator.device, step_seed(job, batch.step, accelerator.process_index))
    rate = learning_rate(job.phase, batch.step, job.schedule.num_steps)
    set_learning_rate(optimizer, rate)
    seen: list[Segment] = []
    losses: list[torch.Tensor] = []
    sums: list[tuple[str, torch.Tensor]] = []
    num_units = len(batch.indices) if job.trainable.preference else batch.num_supervised
    for index, segments in enumerate(batch.micro_batches):
        accelerator.sync_gradients = index + 1 == len(batch.micro_batches)
        # Ranks' gradients are averaged: hence num_processes. A rank without rows computes another's, to gather weights.
        weight = accelerator.num_processes / num_units if segments else 0.0
        # Once, at the end; where weights are split (FSDP2) after each: until then every rank keeps all gradients.
        is_averaged = accelerator.sync_gradients or accelerator.is_fsdp2
        with nullcontext() if is_averaged else accelerator.no_sync(model):
            rows = batch.members[index] if segments else batch.places[:1].tolist()
            loss = job.trainable.loss(model, segments or batch.any_unit, rows, accelerator.device, weight)
            accelerator.backward(loss.total)
        seen += segments
        losses.append(loss.per_segment[: len(segments)])
        sums += [(name, value * bool(segments)) for name, value in loss.sums.items()]
    grad_norm = clip_gradient(accelerator, model, optimizer, job.phase.max_grad_norm)
    step = RankStep(seen, torch.cat(losses), grad_norm, rate, is_asked_to_stop, sums)
    numbers = in_flight(accelerator, batch, step)
    if job.settings.weights == "bf16":
        # What rounds weights at random draws alike on all ranks, which hold the same weights.
        seed_draws(accelerator.device, step_seed(job, batch.step, _NO_RANK))
    optimizer.step()
    optimizer.zero_grad()
    for regularizer in job.trainable.regularizers:
        regularizer.after_step(rate)
    return numbers


def _prepare(job: Job, accelerator: Accelerator, resume_from: Checkpoint) -> tuple[Any, Any]:
    """Hand model and optimizer to accelerate, and load their state where a phase goes on."""
    set_engine(accelerator, job.phase, job.settings)
    optimizer = make_optimizer(job.trainable.model, job.phase, job.settings)
    model, optimizer = accelerator.prepare(job.trainable.model, optimizer)
    model.train()
    saved: dict[int, dict[str, torch.Tensor]] = {}
    if resume_from.folder and resume_from.position.step:
        load_state(accelerator, job.trainable.model, optimizer, resume_from.folder)
        saved = parts_here(job.trainable.model, saved_states(resume_from.folder))
    prove_training(job.trainable.model, model, accelerator, job.settings)
    for index, regularizer in enumerate(job.trainable.regularizers):
        regularizer.start(saved.get(index))
    return model, optimizer


def _count(totals: Totals, batch: Batch, seconds: float) -> None:
    totals.steps += 1
    totals.tokens += batch.num_tokens
    totals.supervised_tokens += batch.num_supervised
    totals.seconds += seconds


def progress_note(row: Mapping[str, Any], speed: Speed) -> str:
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


def step_seed(job: Job, step: int, rank: int) -> int:
    """Return a seed of its own for every step and rank: a resumed step draws what it would have drawn."""
    return int(np.random.SeedSequence([job.seed, job.index, step, rank]).generate_state(1)[0])
