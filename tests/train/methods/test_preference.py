"""Learning from pairs equals the papers' formulas, row by row in plain transformers, and survives a kill."""

import copy
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.models import packing
from crosstune.models.kernels.inplace_gradients import fast_paths
from crosstune.prompts.examples import SCHEMA
from crosstune.recipe import ObjectiveName, Phase, Recipe, Train, yaml_file
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.tokens.store import mixture_tokens
from crosstune.train import stage as train_stage
from crosstune.train.batches import Schedule, Share, make_batch
from crosstune.train.loop import Job, train_step
from crosstune.train.methods.objectives import OBJECTIVES
from crosstune.train.methods.optimizer import make_optimizer
from crosstune.train.methods.preference import log_probabilities
from crosstune.train.methods.trainable import Trainable, make_trainable
from crosstune.train.rows import Row, Rows, Segment, make_rows
from crosstune.train.speed import Speed
from tests.models.test_packing import CONFIGS
from tests.train.conftest import (
    PAPER,
    Interrupted,
    MakeRun,
    a_run,
    broken_off_after,
    make_phase,
    metrics,
    pairs,
    phase,
    scratch,
    weights,
)

NUM_PAIRS = 7
SETTINGS: dict[str, dict[str, Any]] = {
    "dpo": {"objective": "dpo", "beta": 0.3, "nll_weight": 0.2},
    "cpo": {"objective": "cpo", "beta": 0.2},
    "simpo": {"objective": "simpo", "margin": 0.7},
    "nll": {"objective": "nll"},
}


def pair_rows() -> Rows:
    """Return pairs of answers of different lengths, several to one prompt."""
    generator = random.Random(5)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(generator.randrange(3, 97) for _ in range(count))

    shared, rows = tokens(12), list[Row]()
    for index in range(NUM_PAIRS):
        prompt = shared + tokens(index % 3)
        answers = [(*tokens(generator.randrange(1, 9)), 2), tokens(generator.randrange(1, 14))]
        rows.append(
            tuple(
                Segment(prompt + answer, len(prompt), 5, "en", side)
                for answer, side in zip(answers, ("chosen", "rejected"), strict=True)
            )
        )
    return Rows.of(rows)


def a_job(model: nn.Module, objective: str, budget: int, adapters: bool = False) -> Job:
    lora = {"lora": {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}} if adapters else {}
    settings = make_phase(method="preference", preference=SETTINGS[objective], weight_decay=0.0, **lora)
    rows = pair_rows()
    trainable = make_trainable(model, settings, None, seed=1)  # type: ignore[arg-type]
    schedule = Schedule(len(rows), 2 * NUM_PAIRS, NUM_PAIRS, (1,))
    return Job("test", 0, settings, Train(micro_batch_tokens=budget), 1, rows, schedule, trainable, Speed(1, 1))


def expected_loss(model: Any, start: Any, objective: str) -> Tensor:
    """Return the mean loss of the pairs as the papers have it, each answer read by itself."""
    losses = []
    for row in pair_rows():
        found = {}
        for name, asked in (("now", model), ("start", start)):
            for side, segment in zip(("chosen", "rejected"), row, strict=True):
                logits = asked(input_ids=torch.tensor([segment.tokens])).logits[0, :-1].log_softmax(-1)
                of_tokens = logits.gather(1, torch.tensor(segment.tokens[1:])[:, None])[segment.num_prompt - 1 :, 0]
                found[name, side] = of_tokens
        sums = {key: values.sum() for key, values in found.items()}
        mean = {key: values.mean() for key, values in found.items()}
        gain = (sums["now", "chosen"] - sums["start", "chosen"]) - (sums["now", "rejected"] - sums["start", "rejected"])
        losses.append(
            {
                "dpo": -(0.3 * gain).sigmoid().log() - 0.2 * mean["now", "chosen"],
                "cpo": -(0.2 * (sums["now", "chosen"] - sums["now", "rejected"])).sigmoid().log()
                - mean["now", "chosen"],
                "simpo": -(2.0 * mean["now", "chosen"] - 2.0 * mean["now", "rejected"] - 0.7).sigmoid().log(),
                "nll": -mean["now", "chosen"],
            }[objective]
        )
    return torch.stack(losses).mean()


def moved(model: PreTrainedModel, by: float = 0.05) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += by * torch.randn(weight.shape, generator=generator) * weight.std().nan_to_num(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gpt_neox"])
@pytest.mark.parametrize("objective", list(SETTINGS))
@pytest.mark.parametrize("budget", [10_000, 1])
def test_loss_and_gradients_equal_the_formula_row_by_row(name: str, objective: str, budget: int) -> None:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS[name])
    model.set_attn_implementation("eager")
    start, reference = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    model.set_attn_implementation(packing.ATTENTION)
    job, accelerator = a_job(model, objective, budget), Accelerator()
    preference = job.trainable.preference
    assert preference is not None
    preference.begin(lambda: log_probabilities(accelerator, model, job.rows, budget))
    # Away from the start, where all of the formula counts.
    for one in (model, reference):
        moved(one)
    batch = make_batch(job.rows, 0, job.schedule.rows_of_step(0), Share(0, 1, budget))
    assert len(batch.micro_batches) == (1 if budget > 1 else NUM_PAIRS)
    total = 0.0
    with fast_paths(model, accelerator, Train()):
        for segments, members in zip(batch.micro_batches, batch.members, strict=True):
            loss = job.trainable.loss(model, segments, members, accelerator.device, 1 / NUM_PAIRS)
            loss.total.backward()
            total += loss.total.item()
    expected = expected_loss(reference, start, objective)
    expected.backward()  # type: ignore[no-untyped-call]
    assert total == pytest.approx(float(expected), rel=1e-5)
    largest = max(float(weight.grad.abs().max()) for weight in reference.parameters() if weight.grad is not None)
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.slow
def test_a_step_measures_the_loss_and_how_many_pairs_are_told_apart() -> None:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    model.set_attn_implementation("eager")
    start = copy.deepcopy(model)
    model.set_attn_implementation(packing.ATTENTION)
    found = []
    for budget in (10_000, 60):
        trained = copy.deepcopy(model)
        job, accelerator = a_job(trained, "cpo", budget), Accelerator()
        optimizer = make_optimizer(trained, job.phase, Train())
        called, optimizer = accelerator.prepare(trained, optimizer)
        with fast_paths(trained, accelerator, Train()):
            for step in range(2):
                batch = make_batch(job.rows, step, job.schedule.rows_of_step(step), Share(0, 1, budget))
                result = train_step(job, accelerator, called, optimizer, batch).result("")
                found.append([*result.preference.values(), result.grad_norm])
    assert found[0][0] == pytest.approx(float(expected_loss(start, start, "cpo")), rel=1e-5)
    assert found[1][0] < found[0][0]
    # In one micro-batch or several, it is the same step.
    for whole, split in zip(found[:2], found[2:], strict=True):
        assert whole == pytest.approx(split, rel=1e-4)
    assert list(result.preference) == ["loss", "accuracy", "margin"]


def test_what_begins_a_phase_is_measured_as_the_model_without_adapters_has_it() -> None:
    torch.manual_seed(0)
    plain: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    plain.set_attn_implementation("eager")
    model = copy.deepcopy(plain)
    job = a_job(model, "dpo", 60, adapters=True)
    found = log_probabilities(Accelerator(), job.trainable.model, job.rows, 60)
    for row, measured in zip(job.rows, found.tolist(), strict=True):
        for segment, value in zip(row, measured, strict=True):
            logits = plain(input_ids=torch.tensor([segment.tokens])).logits[0, :-1].log_softmax(-1)
            of_tokens = logits.gather(1, torch.tensor(segment.tokens[1:])[:, None])[segment.num_prompt - 1 :]
            assert value == pytest.approx(float(of_tokens.sum()), rel=1e-5)


def test_every_objective_of_the_recipe_is_there() -> None:
    assert set(get_args(ObjectiveName)) == set(OBJECTIVES) == set(SETTINGS)


# Through the stage, as users run it.

PREFERENCE = {"method": "preference", "global_batch_size": 4, "num_steps": 6, "learning_rate": 2e-3}
ADAPTERS = {"rank": 4, "alpha": 8, "dropout": 0.2, "targets": ["q_proj", "v_proj"]}
SYSTEMS: dict[str, Any] = {
    "base": scratch(phases=[phase("paper", num_steps=6)]),
    "cured": {
        "start": "base",
        "tokenizer": "base",
        "phases": [phase("failures", **PREFERENCE, preference=SETTINGS["dpo"])],
    },
    "adapted": {
        "start": "base",
        "tokenizer": "base",
        "phases": [
            phase("failures", **PREFERENCE, preference=SETTINGS["simpo"]),
            phase("failures", **PREFERENCE, preference=SETTINGS["dpo"], lora=ADAPTERS),
        ],
    },
}


def write_pairs(run: RunFolder) -> None:
    """Write pairs as mining does: half of the rejected answers never ended."""
    rows = []
    for index, example in enumerate(pairs()):
        for side, text, is_open in (
            ("chosen", example.completion, False),
            ("rejected", PAPER.completion("the cat the cat " * (1 + index % 3)), index % 2 == 1),
        ):
            rows.append((example.prompt, text, "ko", f"pairs ({side})", example.origin, is_open))
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    table = pa.table(columns, names=[*SCHEMA.names, "is_open"])
    with whole_folder(run.mixture("failures"), "mixture-failures", {"total": len(rows) // 2}) as folder:
        pq.write_table(table, folder / "examples.parquet")


def with_pairs(make_run: MakeRun, root: Path) -> tuple[Recipe, RunFolder]:
    found, run = make_run({"base": SYSTEMS["base"]}, root=root, save_every_steps=2)
    content = json.loads(found.model_dump_json(exclude_none=True)) | {
        "mine": {"failures": {"system": "base", "mixture": "instructions"}},
        "systems": SYSTEMS,
    }
    content["data"]["sources"]["alpaca"] = {"kind": "instructions", "language": "en", "paths": ["alpaca.json"]}
    content["data"]["mixtures"]["instructions"] = [{"source": "alpaca"}]
    write_pairs(run)
    return yaml_file.validate(content, "test"), run


@pytest.fixture(scope="module")
def whole(tokenizers: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    def make(systems: dict[str, Any], root: Path, **settings: Any) -> tuple[Recipe, RunFolder]:
        return a_run(tokenizers, root, systems, **settings)

    recipe, run = with_pairs(make, tmp_path_factory.mktemp("whole"))
    train_stage.run(recipe, run)
    return run


def test_a_run_that_breaks_off_ends_like_one_that_does_not(make_run: MakeRun, tmp_path: Path, whole: RunFolder) -> None:
    recipe, broken = with_pairs(make_run, tmp_path / "broken")
    generator = random.Random(1)
    for _ in range(3):
        with suppress(Interrupted), broken_off_after(generator.randrange(2, 9)):
            train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    for name in ("cured", "adapted"):
        for key, value in weights(whole, name).items():
            assert torch.equal(value, weights(broken, name)[key]), (name, key)
        kept = [{**row, "seconds": 0} for row in metrics(whole, name)]
        assert kept == [{**row, "seconds": 0} for row in metrics(broken, name)]


def test_metrics_and_facts_say_what_was_learned_from_pairs(whole: RunFolder) -> None:
    rows = metrics(whole, "cured")
    assert [list(row["preference"]) for row in rows] == [["loss", "accuracy", "margin"]] * 6
    # Both answers' own cross-entropy stands beside it: where both rise, the model unlearns the task.
    assert set(rows[0]["sources"]) == {"pairs (chosen)", "pairs (rejected)"}
    # The first step is the start itself: nothing is told apart yet.
    assert rows[0]["preference"]["margin"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["preference"]["accuracy"] == 1.0
    assert "preference" not in metrics(whole)[0]
    facts = read_json(whole.system("cured") / "system.json")["phases"][0]
    assert facts["preference"]["objective"] == "dpo" and facts["method"] == "preference"


def test_an_answer_that_never_ended_is_not_taught_an_end(make_run: MakeRun, tmp_path: Path) -> None:
    _, run = with_pairs(make_run, tmp_path)
    tokens = mixture_tokens(run, "failures", "base")
    end = 2
    last = [row[-1] for row in tokens["tokens"].to_pylist()]
    assert [token == end for token in last] == [index % 4 != 3 for index in range(len(last))]


@pytest.mark.parametrize("treatment", ["drop", "truncate"])
def test_of_a_pair_that_is_too_long_nothing_is_learned_alone(make_run: MakeRun, tmp_path: Path, treatment: str) -> None:
    _, run = with_pairs(make_run, tmp_path)
    tokens = mixture_tokens(run, "failures", "base")
    lengths = [len(row) for row in tokens["tokens"].to_pylist()]
    # Some answers of some pairs are longer, and every prompt is shorter.
    limit = sorted(map(max, zip(lengths[::2], lengths[1::2], strict=True)))[9]
    assert max(tokens["num_prompt"].to_pylist()) < limit
    changes = {**PREFERENCE, "max_length_tokens": limit, "on_too_long": treatment, "preference": SETTINGS["cpo"]}
    rows, too_long = make_rows(tokens, Phase.model_validate_json(json.dumps(phase("failures", **changes))))
    assert all(len(row) == 2 for row in rows)
    origins = rows.origins(range(len(rows)))
    assert origins[::2] == origins[1::2] and len(set(origins)) == len(rows)
    assert all([segment.source for segment in row] == ["pairs (chosen)", "pairs (rejected)"] for row in rows)
    fitting = sum(max(pair) <= limit for pair in zip(lengths[::2], lengths[1::2], strict=True))
    assert 0 < fitting < 20
    assert len(rows) == (fitting if treatment == "drop" else 20)
    assert len(too_long) == sum(length > limit for length in lengths)


def test_trainable_of_other_phases_has_no_loss_of_pairs() -> None:
    model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    found: Trainable = make_trainable(model, make_phase(), None, seed=1)
    assert found.preference is None and found.regularizers == ()
