"""Plans: counted tokens are those that training computes, counted memory what autograd saves; what cannot fit stops."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn
from transformers import AutoModelForCausalLM as Auto
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    Qwen2Config,
)

from crosstune.errors import BadInputError, RecipeError
from crosstune.models import packing
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.packing import ATTENTION, lay_out, logits_at
from crosstune.plan import print_plan as print_plan_module
from crosstune.plan.activations import saved_bytes
from crosstune.plan.case import Case
from crosstune.plan.machines import GPUS, Machine
from crosstune.plan.memory import Memory, estimate_memory, fake_model
from crosstune.plan.plan import make_plan, refuse_what_does_not_fit
from crosstune.plan.print_plan import print_not_counted, print_plan, to_json
from crosstune.plan.proposals import proposals_for
from crosstune.recipe import Phase, Train
from crosstune.tokens.store import mixture_tokens
from crosstune.train.batches import make_schedule, split_over_ranks
from crosstune.train.cost import OfStart, Tokens, count_tokens, flops, with_start_measured
from crosstune.train.rows import make_rows
from tests.train.conftest import MakeRun, phase, scratch

MACHINE = Machine(GPUS["h100"], num_gpus=1, mfu=0.4)
SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 160,
}
CONFIGS = [
    LlamaConfig(**SHAPE, num_key_value_heads=4),
    LlamaConfig(**SHAPE, num_key_value_heads=2),
    Qwen2Config(**SHAPE, num_key_value_heads=2),
    GPTNeoXConfig(**SHAPE),
]


def changes_for(case: Case, limit: float) -> list[str]:
    machine = replace(MACHINE, gpu=replace(MACHINE.gpu, memory_gb=limit / 1e9))
    return [proposal.changes for proposal in proposals_for(case, machine)]


def test_tokens_are_those_that_training_sees_and_computes(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()})
    settings = recipe.systems["base"].phases[0]
    rows, _ = make_rows(mixture_tokens(run, "paper", "base"), settings)
    schedule = make_schedule(len(rows), settings, (3, 0))
    tokens = count_tokens(rows, schedule, num_ranks=2, micro_batch_tokens=200)
    batches = [[rows[index] for index in schedule.rows_of_step(step)] for step in range(schedule.num_steps)]
    assert tokens.real == sum(len(segment.tokens) for batch in batches for row in batch for segment in row)
    assert tokens.supervised == sum(segment.num_supervised for batch in batches for row in batch for segment in row)
    assert tokens.padded == sum(len(batch) * max(len(row[0].tokens) for row in batch) for batch in batches)
    ranks = [rank for step in range(8) for rank in split_over_ranks(rows, schedule.rows_of_step(step), 2, 200)]
    micro_batches = [rows.segments(part) for rank in ranks for part in rank if part]
    layouts = [lay_out([segment.tokens for segment in part], share_prefixes=True) for part in micro_batches]
    assert tokens.computed == sum(layout.num_tokens for layout in layouts) < tokens.real
    assert tokens.largest_micro_batch == max(layout.num_tokens for layout in layouts)
    assert tokens.attended == sum(int(layout.position_ids.sum()) + layout.num_tokens for layout in layouts)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["llama", "grouped", "qwen2", "gpt_neox"])
def test_counted_activations_are_what_a_packed_forward_pass_saves(
    monkeypatch: pytest.MonkeyPatch, config: PretrainedConfig, precision: str
) -> None:
    # The kernel of GPUs; plain products, as on CPUs for short rows, save more.
    monkeypatch.setattr(packing, "MAX_PLAIN_ATTENTION", 0)
    fake, mode = fake_model(lambda: _ready(Auto.from_config(config), "crosstune_counted"))
    rows = [list(range(48))] * 12
    layout = lay_out(rows, share_prefixes=False)
    with mode:
        counted = saved_bytes(fake, layout.num_tokens, precision)
    saved = _really_saved(_ready(Auto.from_config(config), ATTENTION), layout, precision)
    # The layout's indices are not counted: they weigh as much in any model, and nothing in a large one.
    assert counted == pytest.approx(saved, rel=0.05)


def _ready(model: Any, attention: str) -> Any:
    model.set_attn_implementation(attention)
    return model.train()


def _really_saved(model: nn.Module, layout: packing.Layout, precision: str) -> int:
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def run(layout: packing.Layout) -> int:
        saved.clear()
        with (
            lean_layers(model),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
        ):
            logits_at(model, layout, torch.tensor([layout.num_tokens - 1]))
        return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())

    # What one token saves is the cast weights.
    return run(layout) - run(lay_out([[1]], share_prefixes=False))


TOKENS = Tokens(
    num_rows=8, num_steps=2, real=2000, supervised=400, computed=1500, padded=4000, attended=30_000,
    largest_micro_batch=1000, most_supervised=300, most_micro_batches=2,
)  # fmt: skip


@pytest.mark.slow
def test_checkpointing_and_sharding_save_what_they_should() -> None:
    fake, mode = fake_model(lambda: LlamaForCausalLM(CONFIGS[0]))
    with mode:
        plain = estimate_memory(fake, TOKENS, Train(), num_gpus=1, num_shards=1)
        spared = estimate_memory(fake, TOKENS, Train(gradient_checkpointing=True), num_gpus=1, num_shards=1)
        sharded = estimate_memory(fake, TOKENS, Train(), num_gpus=4, num_shards=4)
    assert spared.activations < plain.activations / 2
    assert replace(spared, activations=0, other=0) == replace(plain, activations=0, other=0)
    num_weights = sum(parameter.numel() for parameter in fake.parameters())
    assert (plain.weights, plain.gradients, plain.optimizer) == (4 * num_weights, 4 * num_weights, 8 * num_weights)
    assert sharded.weights == plain.weights / 4 and sharded.optimizer == plain.optimizer / 4
    # A checkpoint's copy is the host's, and split weights are written without one.
    assert plain.total == sum(vars(plain).values()) - plain.checkpoint
    assert (plain.checkpoint, sharded.checkpoint) == (12 * num_weights, 0)


@pytest.mark.slow
def test_gradients_of_an_only_micro_batch_come_as_activations_go() -> None:
    fake, mode = fake_model(lambda: LlamaForCausalLM(CONFIGS[0]))
    only = replace(TOKENS, most_micro_batches=1)

    def memory(tokens: Tokens, num_gpus: int, num_shards: int) -> Memory:
        return estimate_memory(fake, tokens, Train(), num_gpus, num_shards)

    with mode:
        several, one, averaged = memory(TOKENS, 1, 1), memory(only, 1, 1), memory(only, 2, 1)
    assert one.gradients == max(0, several.gradients - several.activations - several.logits) < several.gradients
    # DDP keeps whole gradients, and averages copies of them.
    assert averaged.gradients == 2 * several.gradients


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "largest_micro_batch", "measured"),
    [({"gradient_checkpointing": True}, 9821, 124.8), ({"optimizer": "adamw_8bit"}, 8188, 97.6)],
    ids=["gpu_train_first.json", "gpu_train.json"],
)
def test_the_memory_of_llama_2_7b_is_what_an_h200_held(
    settings: dict[str, Any], largest_micro_batch: int, measured: float
) -> None:
    """Peaks of weights in float32 in benchmarks/results; 0.627 of the tokens are supervised there."""
    config = LlamaConfig(vocab_size=46_336, num_hidden_layers=32, hidden_size=4096, intermediate_size=11_008)
    fake, mode = fake_model(lambda: LlamaForCausalLM(config))
    tokens = replace(
        TOKENS,
        largest_micro_batch=largest_micro_batch,
        most_supervised=round(0.627 * largest_micro_batch),
        most_micro_batches=1,
    )
    with mode:
        memory = estimate_memory(fake, tokens, Train(precision="bf16", **settings), num_gpus=1, num_shards=1)
    # The CUDA context and fragmentation are no tensors.
    assert (memory.total - memory.other) / 1e9 == pytest.approx(measured, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "most"),
    [
        pytest.param("bf16", 17e9, marks=pytest.mark.exhaustive),
        pytest.param("int8", 12e9, marks=pytest.mark.exhaustive),
        ("nf4", 8e9),
    ],
)
def test_adapters_on_llama_2_7b_fit_the_cards_that_people_have(kind: str, most: float) -> None:
    config = LlamaConfig(vocab_size=32_000, num_hidden_layers=32, hidden_size=4096, intermediate_size=11_008)
    lora = Phase.model_validate_json(json.dumps(phase(method="lora", lora={"rank": 8})))
    settings = Train(precision="bf16", gradient_checkpointing=True, micro_batch_tokens=1024)
    tokens = replace(TOKENS, largest_micro_batch=1024, most_supervised=1024)
    plain = Case(config, None, lora, settings, tokens, 1)
    packed = plain.with_settings(base_weights=kind).memory()
    assert packed.total <= most < plain.memory().total
    in_layers, tables = 32 * (4 * 4096**2 + 3 * 4096 * 11_008), 2 * 32_000 * 4096
    bits = {"bf16": 16, "int8": 8.01, "nf4": 4.13}[kind]
    adapters = 32 * 4 * 2 * 8 * 4096
    assert packed.weights == pytest.approx(in_layers * bits / 8 + 2 * tables + 4 * adapters, rel=0.002)


@pytest.mark.slow
def test_weights_that_move_in_bf16_take_half_and_so_do_their_gradients() -> None:
    full = Phase.model_validate_json(json.dumps(phase()))
    plain = Case(CONFIGS[0], None, full, Train(precision="bf16"), TOKENS, 1)
    half = plain.with_settings(weights="bf16").memory()
    assert (half.weights, half.gradients) == (plain.memory().weights / 2, plain.memory().gradients / 2)
    assert half.working_weights == 0 < plain.memory().working_weights
    assert half.optimizer == plain.memory().optimizer


@pytest.mark.parametrize(
    ("hours", "shown"), [(2.5, "2.5"), (0.05, "3.0 min"), (0.01, "36 s"), (0.001, "3.6 s"), (1e-5, "0.036 s")]
)
def test_hours_under_a_minute_are_printed_as_seconds(hours: float, shown: str) -> None:
    assert print_plan_module.hours_and_less(hours) == shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "num_kept", "num_logits", "is_split"),
    [
        ({"l2_to_start": 0.1}, lambda weights, row: weights, 0, True),
        ({"kl_to_start": {"weight": 0.1, "languages": ["en"]}}, lambda weights, row: weights, 3, False),
        ({"trains": ["new_input_rows"]}, lambda weights, row: 400 * row, 0, False),
    ],
    ids=["l2", "kl", "frozen_rows"],
)
def test_regularizers_weigh_what_they_keep(
    settings: dict[str, Any], num_kept: Callable[[int, int], int], num_logits: int, is_split: bool
) -> None:
    cases = [
        Case(CONFIGS[0], 400, Phase.model_validate_json(json.dumps(phase(**changes))), Train(), TOKENS, num_gpus)
        for changes, num_gpus in (({}, 1), (settings, 1), (settings, 8))
    ]
    plain, pulled, on_many = (case.memory() for case in cases)
    num_weights = int(plain.weights) // 4
    assert plain.regularizers == 0
    assert pulled.regularizers == 4 * num_kept(num_weights, 64) + num_logits * 4 * 300 * 500
    offers_gpus = [any("GPUs" in remedy for remedy in changes_for(case, math.inf)) for case in cases]
    if is_split:  # each GPU keeps its part of what the regularizer needs, beside its part of the weights
        assert on_many.regularizers == pulled.regularizers / 8 and on_many.weights == pulled.weights / 8
        assert offers_gpus == [True, True, True]
    else:  # launched on many GPUs, each holds all of it
        assert replace(on_many, gradients=on_many.gradients / 2, other=pulled.other) == pulled
        assert pulled.weights == plain.weights
        assert offers_gpus == [True, False, False]


@pytest.mark.slow
def test_moments_in_bytes_are_counted_and_proposed_where_they_make_it_fit() -> None:
    shape = {**SHAPE, "hidden_size": 256, "intermediate_size": 512}
    full = Phase.model_validate_json(json.dumps(phase()))
    plain = Case(LlamaConfig(**shape, num_key_value_heads=4), None, full, Train(), TOKENS, num_gpus=1)
    light = plain.with_settings(optimizer="adamw_8bit")
    matrices = [500 * 256, *[256 * 256] * 12, *[256 * 512] * 9]
    in_float32 = 500 * 256 + 7 * 256  # embeddings and norms
    in_bytes = sum(2 * (values + 4 * values / 256 + 1024) for values in matrices)
    memory = light.memory()
    assert memory.optimizer == in_bytes + 8 * in_float32 < plain.memory().optimizer / 2.5
    rest = {"optimizer": 0, "other": 0, "checkpoint": 0}
    assert replace(memory, **rest) == replace(plain.memory(), **rest)
    on_two = replace(light, num_gpus=2).memory().optimizer
    assert on_two == (in_bytes + 8 * in_float32) / 2 + len(matrices) * 1024  # each keeps the tables
    assert "train.optimizer=adamw_8bit" in changes_for(plain, memory.total)
    assert not any("adamw_8bit" in remedy for remedy in changes_for(light, memory.total - 1))
    spared = light.with_settings(gradient_checkpointing=True, precision="bf16").memory().total
    with_others = "train.optimizer=adamw_8bit train.gradient_checkpointing=true train.precision=bf16"
    assert with_others in changes_for(plain, spared)
    # Not where the others are enough without it.
    enough = plain.with_settings(gradient_checkpointing=True, precision="bf16").memory().total
    assert not any("8bit" in change and "checkpointing" in change for change in changes_for(plain, enough))


def test_operations_are_six_per_weight_and_token() -> None:
    model = GPTNeoXForCausalLM(CONFIGS[3])
    layers = 3 * (4 * 64 * 64 + 2 * 64 * 160)
    attention = 12 * 64 * 3
    expected = 6 * layers * TOKENS.computed + attention * TOKENS.attended + 6 * 500 * 64 * TOKENS.supervised
    full = Phase(mixture="m", method="full", num_epochs=1, global_batch_size=1, learning_rate=1e-3)
    assert flops(model, TOKENS, full) == pytest.approx(expected)


def test_a_pass_through_the_phase_s_start_costs_a_third_of_a_trained_one() -> None:
    model = GPTNeoXForCausalLM(CONFIGS[3])
    full = Phase(mixture="m", method="full", num_epochs=1, global_batch_size=1, learning_rate=1e-3)
    all_of_them = OfStart(TOKENS.computed, TOKENS.attended, TOKENS.supervised)
    more = flops(model, replace(TOKENS, of_start=all_of_them), full)
    assert more == pytest.approx(4 / 3 * flops(model, TOKENS, full))


def test_what_kl_to_start_asks_of_the_start_is_counted_by_language(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()})
    settings = recipe.systems["base"].phases[0]
    rows, _ = make_rows(mixture_tokens(run, "paper", "base"), settings)
    schedule = make_schedule(len(rows), settings, (3, 0))
    languages = {language for language, _ in rows.corpora}

    def of_start(*kept: str) -> OfStart:
        return count_tokens(rows, schedule, 1, 200, kept_languages=kept).of_start

    whole = count_tokens(rows, schedule, 1, 200)
    assert whole.of_start == OfStart()
    assert of_start(*languages) == OfStart(whole.computed, whole.attended, whole.supervised)
    assert len(languages) > 1, languages
    assert sum(of_start(one).supervised for one in languages) == pytest.approx(whole.supervised, abs=2)
    once = with_start_measured(whole, rows).of_start
    assert once.computed == round(whole.computed * int(rows.lengths().sum()) / whole.real)


def test_operations_of_the_last_layer_that_are_skipped_are_not_useful() -> None:
    model = LlamaForCausalLM(CONFIGS[0])
    plain = GPTNeoXForCausalLM(CONFIGS[3])
    full = Phase(mixture="m", method="full", num_epochs=1, global_batch_size=1, learning_rate=1e-3)
    layer = model.model.layers[-1]
    skipped = sum(part.weight.numel() for part in layer.modules() if isinstance(part, nn.Linear))
    skipped -= layer.self_attn.k_proj.weight.numel() + layer.self_attn.v_proj.weight.numel()
    everywhere = replace(TOKENS, supervised=TOKENS.computed)
    for found, fewer in ((model, 6 * skipped), (plain, 0)):
        head = 6 * found.get_output_embeddings().weight.numel()
        saved = (fewer + head) * (TOKENS.computed - TOKENS.supervised)
        assert flops(found, everywhere, full) - flops(found, TOKENS, full) == pytest.approx(saved)


@pytest.mark.slow
def test_a_plan_covers_every_phase_of_every_system(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    lora = {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora={"rank": 2})]}
    ours = {"start": "base", "tokenizer": "extended", "phases": [phase(trains=["new_input_rows"]), phase("korean")]}
    recipe, run = make_run({"base": scratch(), "lora": lora, "ours": ours})
    plans = make_plan(recipe, run, MACHINE)
    assert [(plan.system, plan.phase.title, plan.phase.mixture) for plan in plans] == [
        ("base", "full", "paper"), ("lora", "lora", "paper"), ("ours", "new_input_rows", "paper"),
        ("ours", "full", "korean"),
    ]  # fmt: skip
    assert all(plan.fits and plan.hours > 0 and not plan.proposals for plan in plans)
    assert plans[1].memory.optimizer < plans[0].memory.optimizer / 2
    assert not list(run.root.glob("systems/*"))
    refuse_what_does_not_fit(plans, MACHINE)
    print_plan(plans, MACHINE)
    printed = capsys.readouterr().out
    assert "What is computed, on 1 x H100 SXM" in printed and printed.count("fits") == 4
    largest = max(plan.num_weights for plan in plans)
    assert f"into the host's memory first, in float32: {4 * largest / 1e9:.2g} GB" in " ".join(printed.split())
    # Of eight steps each: at the start, after three and six, and at the end.
    print_not_counted(plans, recipe.train.model_copy(update={"score_every_steps": 3, "validation": None}))
    assert "the scores at the end, 16 times those of tasks while training (train.score_every_steps)." in " ".join(
        capsys.readouterr().out.split()
    )
    found = to_json(plans, MACHINE)["phases"]
    assert [entry["num_steps"] for entry in found] == [8, 8, 8, 8]
    assert found[0]["memory_bytes"]["total"] == pytest.approx(plans[0].memory.total)


@pytest.mark.slow
def test_a_narrow_terminal_cuts_no_number_and_no_name(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = make_run({"a_system_with_a_long_name": scratch()})
    plans = make_plan(recipe, run, MACHINE)
    monkeypatch.setattr(print_plan_module, "results", Console(width=80, highlight=False))
    print_plan(plans, MACHINE)
    printed = capsys.readouterr().out
    assert "…" not in printed and max(map(len, printed.splitlines())) <= 80
    assert "a_system_with_a_l" in printed and f"{plans[0].tokens.num_rows:,}" in printed


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.01284, "0.0128"),
        (12, "12"),
        (999, "999"),
        (999_999, "1.00M"),
        (72_646, "72.6k"),
        (60.2e6, "60.2M"),
        (2e13, "20.0T"),
    ],
)
def test_numbers_are_shown_by_three_digits(number: float, shown: str) -> None:
    assert print_plan_module.three_digits(number) == shown


@pytest.mark.slow
def test_what_cannot_fit_is_refused_with_what_would(make_run: MakeRun) -> None:
    wide = {"hidden_size": 64, "num_layers": 6, "num_heads": 4, "intermediate_size": 256}
    recipe, run = make_run({"base": scratch(architecture=wide)}, micro_batch_tokens=4096)
    needed = make_plan(recipe, run, MACHINE)[0].memory.total / 1e9
    small = replace(MACHINE, gpu=replace(MACHINE.gpu, memory_gb=needed - 0.001))
    plans = make_plan(recipe, run, small)
    assert not plans[0].fits
    with pytest.raises(RecipeError, match=r"systems\.base\.phases\.0 needs .*gradient_checkpointing=true") as said:
        refuse_what_does_not_fit(plans, small)
    assert "; or train.optimizer=adamw_8bit" in str(said.value) and "; or method: lora, lora: {}" in str(said.value)
    tiny = replace(MACHINE, gpu=replace(MACHINE.gpu, memory_gb=1))
    with pytest.raises(RecipeError, match="No setting was found"):
        refuse_what_does_not_fit(make_plan(recipe, run, tiny), tiny)


def test_a_start_that_is_no_model_is_an_error(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": {"start": "nowhere", "tokenizer": "base", "phases": [phase()]}})
    with pytest.raises(BadInputError, match="'nowhere' is not a system of this recipe"):
        make_plan(recipe, run, MACHINE)
