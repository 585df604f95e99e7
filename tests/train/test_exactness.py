"""The step is exact: packed, shared and split as it is, it equals padded rows one after another."""

import copy
import random

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.models import packing
from crosstune.models.kernels.inplace_gradients import fast_paths
from crosstune.recipe import Phase, Train
from crosstune.train.batches import Schedule, Share, make_batch
from crosstune.train.learning_rate import learning_rate
from crosstune.train.loop import Job, train_step
from crosstune.train.methods.optimizer import make_optimizer
from crosstune.train.methods.trainable import Trainable
from crosstune.train.rows import Row, Rows, Segment
from crosstune.train.speed import Speed
from tests.models.test_packing import CONFIGS
from tests.train.conftest import make_phase

NUM_STEPS = 6


def make_rows(seed: int = 0, number: int = 36) -> Rows:
    generator = random.Random(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(generator.randrange(3, 97) for _ in range(count))

    instruction = tokens(12)
    rows: list[Row] = []
    for index in range(number):
        prompt = (instruction if index % 3 else ()) + tokens(generator.randrange(1, 12))
        completion = (*tokens(generator.randrange(1, 15)), 2)
        rows.append((Segment(prompt + completion, len(prompt), 10, "en", "ab"[index % 2]),))
    # A row of the batch may hold several documents.
    rows[5] = (*rows[5], *rows[6], *rows[7])
    return Rows.of(rows)


def run_steps(model: PreTrainedModel, micro_batch_tokens: int, phase: Phase) -> list[float]:
    """Train with our step and return its losses."""
    model.set_attn_implementation(packing.ATTENTION)
    model.train()
    accelerator = Accelerator()
    optimizer = make_optimizer(model, phase, Train())
    model, optimizer = accelerator.prepare(model, optimizer)
    rows = make_rows()
    schedule = Schedule(len(rows), NUM_STEPS * phase.global_batch_size, phase.global_batch_size, (1,))
    settings = Train(micro_batch_tokens=micro_batch_tokens)
    job = Job("test", 0, phase, settings, 1, rows, schedule, Trainable(model), Speed(1, 1))
    losses = []
    with fast_paths(model, accelerator, Train()):
        for step in range(NUM_STEPS):
            batch = make_batch(rows, step, schedule.rows_of_step(step), Share(0, 1, micro_batch_tokens))
            result = train_step(job, accelerator, model, optimizer, batch).result("")
            losses.append(sum(result.nats.values()) / batch.num_supervised)
    return losses


def run_reference(model: PreTrainedModel, phase: Phase) -> list[float]:
    """Train as one would write it down: every segment padded into one batch, all positions scored, one mean."""
    model.set_attn_implementation("eager")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=phase.adam_betas, weight_decay=phase.weight_decay)
    rows = make_rows()
    schedule = Schedule(len(rows), NUM_STEPS * phase.global_batch_size, phase.global_batch_size, (1,))
    losses = []
    for step in range(NUM_STEPS):
        segments = [segment for index in schedule.rows_of_step(step) for segment in rows[index]]
        longest = max(len(segment.tokens) for segment in segments)
        ids = torch.tensor([segment.tokens + (0,) * (longest - len(segment.tokens)) for segment in segments])
        mask = torch.tensor([[int(i < len(segment.tokens)) for i in range(longest)] for segment in segments])
        labels = ids.clone()
        for row, segment in enumerate(segments):
            labels[row, : segment.num_prompt] = -100
            labels[row, len(segment.tokens) :] = -100
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), phase.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase, step, NUM_STEPS)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_losses_and_weights_equal_the_padded_reference(name: str) -> None:
    torch.manual_seed(0)
    ours: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS[name])
    reference = copy.deepcopy(ours)
    phase = make_phase(learning_rate=1e-3)
    losses = run_steps(ours, 10_000, phase)
    assert losses == pytest.approx(run_reference(reference, phase), rel=1e-5)
    for mine, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_the_split_into_micro_batches_does_not_change_the_trajectory() -> None:
    phase = make_phase(learning_rate=1e-3, weight_decay=0.0)
    found = []
    for budget in (10_000, 40, 1):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS["llama"])
        found.append(run_steps(model, budget, phase))
    assert found[0] == pytest.approx(found[1], rel=1e-5) and found[0] == pytest.approx(found[2], rel=1e-5)
