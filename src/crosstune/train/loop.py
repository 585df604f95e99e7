"""The training loop: one visible step, on accelerate."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from crosstune.errors import CrosstuneError
from crosstune.recipe import Stage, Train
from crosstune.terminal import progress
from crosstune.train.batches import Schedule, split_over_ranks
from crosstune.train.checkpoint import Checkpoints, Position
from crosstune.train.learning_rate import learning_rate
from crosstune.train.loss import summed_loss
from crosstune.train.metrics import MetricsFile, StepResult, Totals
from crosstune.train.rows import Row


@dataclass(frozen=True)
class Job:
    """One stage of one system, ready to be trained.

    Attributes:
        title: for the progress bar.
        index: the stage's number.
        seed: of the run, for what is random inside a step (LoRA's dropout).
        sources: every source of the rows, sorted: the order of per-source losses.
        after_step: called behind every optimiser step; puts frozen rows back.
    """

    title: str
    index: int
    stage: Stage
    settings: Train
    seed: int
    rows: Sequence[Row]
    schedule: Schedule
    sources: Sequence[str]
    after_step: Callable[[], None]


def train(
    job: Job, accelerator: Accelerator, model: nn.Module, files: tuple[Checkpoints, MetricsFile], first_step: int
) -> tuple[nn.Module, Totals]:
    """Train a stage from a step on; return the wrapped model and what it saw.

    Ctrl-C and SIGTERM save a checkpoint and end cleanly.
    """
    checkpoints, metrics = files
    optimizer = make_optimizer(model, job.stage)
    model, optimizer = accelerator.prepare(model, optimizer)
    model.train()
    if first_step:
        accelerator.load_state(str(checkpoints.folder / Position(job.index, first_step).name))
    totals = metrics.begin_at(Position(job.index, first_step)) if accelerator.is_main_process else Totals(first_step)
    num_steps = job.schedule.num_steps
    with progress(job.title, num_steps) as advance, _stop_requests() as stop_requested:
        advance(first_step)
        for step in range(first_step, num_steps):
            started = time.monotonic()
            batch = [job.rows[index] for index in job.schedule.rows_of_step(step)]
            result = train_step(job, accelerator, model, optimizer, (step, batch))
            _count(totals, batch, time.monotonic() - started)
            if accelerator.is_main_process and (
                totals.steps % job.settings.log_every_steps == 0 or step + 1 == num_steps
            ):
                loss = metrics.append(job.index, batch, totals, result)
                advance(0, f"loss {loss:.3f}  {totals.tokens / totals.seconds:,.0f} tokens/s")
            advance(1)
            stopping = stop_requested()
            if stopping or (totals.steps % job.settings.save_every_steps == 0 and step + 1 < num_steps):
                save(accelerator, checkpoints, Position(job.index, totals.steps))
            if stopping:
                raise KeyboardInterrupt
    return model, totals


def train_step(
    job: Job,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step_and_batch: tuple[int, Sequence[Row]],
) -> StepResult:
    """Do one optimiser step over a global batch.

    The loss is the sum over supervised tokens divided by their number in the whole global batch, which every rank knows
    before it begins: no split into ranks and micro-batches changes the gradient.

    Raises:
        CrosstuneError: when the loss is not finite; the weights are still those of the step before.
    """
    step, batch = step_and_batch
    num_supervised = sum(segment.num_supervised for row in batch for segment in row)
    shares = split_over_ranks(batch, accelerator.num_processes, job.settings.micro_batch_tokens)
    micro_batches = shares[accelerator.process_index]
    torch.manual_seed(_seed(job, step, accelerator.process_index))
    nats = torch.zeros(len(job.sources), dtype=torch.float64, device=accelerator.device)
    for index, segments in enumerate(micro_batches):
        is_last = index + 1 == len(micro_batches)
        # Gradients are averaged over ranks once, behind the last micro-batch: hence the factor num_processes.
        with nullcontext() if is_last else accelerator.no_sync(model):
            weight = accelerator.num_processes / num_supervised if segments else 0.0
            loss = summed_loss(model, segments or batch[0], job.sources, accelerator.device)
            accelerator.backward(loss.total * weight)
        if segments:
            nats += loss.per_source
    nats = accelerator.reduce(nats, reduction="sum")
    if not torch.isfinite(nats).all():
        raise CrosstuneError(_not_finite(job, step, batch, nats))
    grad_norm = accelerator.clip_grad_norm_(model.parameters(), job.stage.max_grad_norm)
    rate = learning_rate(job.stage, step, job.schedule.num_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    job.after_step()
    by_source = dict(zip(job.sources, nats.tolist(), strict=True))
    return StepResult(by_source, float(grad_norm), rate)


def make_optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """Return AdamW over what is trained; weight decay is for matrices, not for norms and biases."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": stage.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=stage.learning_rate, betas=stage.adam_betas, fused=True)


def save(accelerator: Accelerator, checkpoints: Checkpoints, position: Position) -> None:
    """Write a checkpoint of weights, optimiser and random state; all ranks call it."""
    temporary = checkpoints.temporary(position)
    accelerator.save_state(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        checkpoints.finish(position)
    accelerator.wait_for_everyone()


def _count(totals: Totals, batch: Sequence[Row], seconds: float) -> None:
    totals.steps += 1
    totals.tokens += sum(len(segment.tokens) for row in batch for segment in row)
    totals.supervised_tokens += sum(segment.num_supervised for row in batch for segment in row)
    totals.seconds += seconds


def _seed(job: Job, step: int, rank: int) -> int:
    """Return a seed of its own for every step and rank: a resumed step draws what it would have drawn."""
    return int(np.random.SeedSequence([job.seed, job.index, step, rank]).generate_state(1)[0])


def _not_finite(job: Job, step: int, batch: Sequence[Row], nats: torch.Tensor) -> str:
    bad = [source for source, value in zip(job.sources, nats.tolist(), strict=True) if not np.isfinite(value)]
    origins = [segment.origin for row in batch for segment in row if segment.source in bad]
    return (
        f"{job.title}: the loss of step {step + 1} is not a number, in rows of {', '.join(bad)}: "
        f"{', '.join(origins[:8])}{' …' if len(origins) > 8 else ''}. Nothing was changed by this step and the last "
        "checkpoint is kept. Look at these rows, or lower learning_rate or max_grad_norm, then start anew."
    )


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that the loop asks between steps; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def remember(number: int, _: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    earlier = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
