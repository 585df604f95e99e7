"""What would make a phase fit, and how known models go on cards: memory by hand, cheapest first."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig
from typer.testing import CliRunner

from crosstune.cli.app import app
from crosstune.plan import known_models
from crosstune.plan.case import Case
from crosstune.plan.known_models import KNOWN, config_of_model, phase_on_text, tokens_of_text, ways_on_cards
from crosstune.plan.machines import GPUS, MODELS, Gpu, Machine
from crosstune.plan.proposals import proposals_for, ways_of
from crosstune.recipe import Train

# 64 wide, so that every number below is made by hand.
WIDE, INNER, LAYERS, PIECES = 64, 160, 2, 500
IN_LAYERS = LAYERS * (4 * WIDE**2 + 3 * WIDE * INNER)
TABLES, NORMS = 2 * PIECES * WIDE, (2 * LAYERS + 1) * WIDE
WEIGHTS = IN_LAYERS + TABLES + NORMS


def config(num_pieces: int = PIECES) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=num_pieces,
        hidden_size=WIDE,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
    )


def case(old_size: int | None = None, **settings: Any) -> Case:
    tokens = tokens_of_text(512 * 640, 512, 1)
    return Case(config(), old_size, phase_on_text(method="full"), Train(**settings), tokens, 1)


def of_memory(num_bytes: float) -> Machine:
    return Machine(Gpu("a card", num_bytes / 1e9, 100, 50), 1, 0.5)


@pytest.mark.slow
def test_each_way_of_training_weighs_what_its_weights_gradients_and_moments_weigh() -> None:
    bytes_of = {
        # Float32 weights and gradients, and two moments.
        "full": (4, 4, 8 * WEIGHTS),
        "full, weights bf16": (2, 2, 8 * WEIGHTS),
    }
    ways = {way.name: way.case.memory() for way in ways_of(case())}
    for name, (of_weight, of_gradient, moments) in bytes_of.items():
        assert (ways[name].weights, ways[name].gradients) == (of_weight * WEIGHTS, of_gradient * WEIGHTS), name
        assert ways[name].optimizer == moments, name
    # Adapters of rank 16 on queries and values, as `Lora()` has them: in float32, and so are norms.
    (lora,) = (way.case for way in ways_of(case()) if way.name == "lora")
    assert lora.phase.lora is not None
    adapters = lora.num_trained()
    assert ways["lora"].weights == 4 * (WEIGHTS + adapters) and ways["lora"].optimizer == 8 * adapters
    rest = 2 * TABLES + 4 * (NORMS + adapters)
    assert ways["lora, base bf16"].weights == 2 * IN_LAYERS + rest
    assert ways["lora, base nf4"].weights == pytest.approx((0.5 + 1 / 64 + 4 / (64 * 256)) * IN_LAYERS + rest)


@pytest.mark.slow
def test_copies_of_weights_that_stay_are_one_layer_s_where_layers_are_computed_again() -> None:
    (lora,) = (way.case for way in ways_of(case(precision="bf16")) if way.name == "lora")
    adapters = lora.num_trained()
    in_layer = IN_LAYERS // LAYERS + 2 * WIDE + adapters // LAYERS
    assert lora.memory().working_weights == 2 * (WEIGHTS + adapters)
    spared = lora.with_settings(gradient_checkpointing=True).memory()
    assert spared.working_weights == 2 * (adapters + in_layer + PIECES * WIDE)
    full = case(precision="bf16", gradient_checkpointing=True)
    assert full.memory().working_weights == 2 * WEIGHTS


def test_ways_of_training_are_named_from_what_learns_best_on_and_only_those_that_the_recipe_may_take() -> None:
    assert [way.name for way in ways_of(case())] == [
        "full",
        "full, adamw_8bit",
        "full, weights bf16",
        "full, weights bf16, adamw_8bit",
        "lora",
        "lora, base bf16",
        "lora, base int8",
        "lora, base nf4",
    ]
    pulled = case().with_phase(l2_to_start=0.1)
    assert not any("weights bf16" in way.name for way in ways_of(pulled))
    assert [way.name for way in ways_of(case(precision="fp8"))] == ["full", "full, adamw_8bit", "lora"]
    rows = replace(case(old_size=400), phase=phase_on_text(method="full", trains=("new_input_rows",)))
    assert [way.name.partition(", ")[2] for way in ways_of(rows)] == [
        "",
        "adamw_8bit",
        "base bf16",
        "base int8",
        "base nf4",
    ]


@pytest.mark.slow
def test_proposals_cost_time_first_and_what_rounds_more_is_named_only_where_it_saves_some() -> None:
    whole = case(micro_batch_tokens=512)
    needed = whole.memory().total
    found = list(proposals_for(whole, of_memory(needed - 1)))
    assert found[0].changes == "train.precision=bf16" or found[0].changes.startswith(
        "train.gradient_checkpointing=true"
    )
    assert all(proposal.bytes_needed <= needed - 1 and proposal.hours > 0 for proposal in found)
    # Nothing that costs as much time as what came before, and learns worse.
    kinds = [proposal.changes for proposal in found if "GPUs" not in proposal.changes]
    assert len(kinds) == len(set(kinds))
    assert not list(proposals_for(whole, of_memory(1e6)))


@pytest.mark.slow
@pytest.mark.parametrize(("old_size", "settings"), [(None, "{}"), (400, "{train_new_rows: true}")])
def test_adapters_are_proposed_with_the_new_rows_that_were_counted(old_size: int | None, settings: str) -> None:
    whole = case(old_size=old_size)
    found = [one.changes for one in proposals_for(whole, of_memory(whole.memory().total - 1))]
    adapters = [changes for changes in found if "method: lora" in changes]
    assert adapters and all(changes.startswith(f"method: lora, lora: {settings}") for changes in adapters)


@pytest.mark.slow
def test_the_librarys_own_kernels_save_more() -> None:
    lean, plain = (case(kernels=kernels).memory() for kernels in ("auto", "plain"))
    assert plain.activations > 1.15 * lean.activations
    assert replace(plain, activations=lean.activations, other=lean.other) == lean


@pytest.mark.slow
def test_small_micro_batches_come_before_layers_that_are_computed_again_and_are_no_shorter_than_a_row() -> None:
    phase, settings = phase_on_text(method="full"), Train(precision="bf16", micro_batch_tokens=4096)
    whole = Case(config(), None, phase, settings, tokens_of_text(512 * 640, 4096, 1), 1)
    needed = whole.with_micro_batches_of(1024).memory().total
    first, *_ = proposals_for(whole, of_memory(needed))
    assert (first.changes, first.hours) == ("train.micro_batch_tokens=1024", whole.hours(of_memory(needed)))
    first, *_ = proposals_for(whole, of_memory(needed - 1))
    assert first.changes.startswith("train.gradient_checkpointing=true")
    long = whole.with_phase(max_length_tokens=2048)
    assert long.with_micro_batches_of(1024).memory() == long.with_micro_batches_of(2048).memory()


@pytest.mark.slow
def test_fewer_new_pieces_are_the_last_proposal() -> None:
    # Half of the pieces are new: what they take is tables, logits and moments.
    whole = case(old_size=250, micro_batch_tokens=512)
    least = min(
        way.case.with_settings(precision="bf16", gradient_checkpointing=True).memory().total for way in ways_of(whole)
    )
    spared = whole.with_settings(precision="bf16", gradient_checkpointing=True)
    halved = replace(spared, config=config(375)).memory().total
    assert halved < spared.memory().total
    found = list(proposals_for(whole, of_memory(halved)))
    fewer = [proposal for proposal in found if "num_new_pieces" in proposal.changes]
    assert [proposal.changes.partition(" ")[0] for proposal in fewer] == ["tokenizer.extension.num_new_pieces=125"]
    assert found[-1] is fewer[0] and "sweep" in fewer[0].evidence
    assert least <= halved


@pytest.mark.slow
def test_weights_that_cannot_be_split_are_counted_whole_on_every_gpu() -> None:
    # Training refuses FSDP2 with them, and so each GPU of a plan holds all.
    for settings in ({"weights": "bf16"}, {"base_weights": "nf4"}):
        chosen = (
            case(**settings)
            if "weights" in settings
            else case().with_phase(method="lora", lora=ways_of(case())[4].case.phase.lora).with_settings(**settings)
        )
        assert replace(chosen, num_gpus=8).memory().weights == chosen.memory().weights


@pytest.mark.slow
def test_known_models_have_the_weights_that_their_makers_count() -> None:
    billions = {"llama-2-7b": 6.74, "llama-3.1-8b": 8.03, "qwen3-8b": 8.19, "gemma-3-4b": 3.88}
    assert set(MODELS) == set(KNOWN) == set(billions)
    for name, expected in billions.items():
        _, shape = config_of_model(name)
        counted = Case(shape, None, phase_on_text(method="full"), Train(), tokens_of_text(51_200, 512, 1), 1)
        assert counted.num_weights()["num_weights"] / 1e9 == pytest.approx(expected, abs=0.006), name


@pytest.mark.slow
def test_a_model_without_a_recipe_is_planned_on_cards_of_three_sizes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(known_models.KNOWN, "llama-2-7b", ("Small", config))
    done = CliRunner().invoke(app, ["plan", "--model", "llama-2-7b", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["model"] == "Small" and len(found["machines"]) == 3
    full, *_ = found["ways"]
    assert full["name"] == "full" and all(card["gb"] < 3 and card["hours"] > 0 for card in full["cards"])
    assert full["host_gb"] == 4 * WEIGHTS / 1e9
    config().save_pretrained(tmp_path / "own")
    shown = CliRunner().invoke(app, ["plan", "--model", str(tmp_path / "own"), "--gpu", "l4", "--new-pieces", "20"])
    assert shown.exit_code == 0 and "L4" in shown.output and "lora, base nf4" in shown.output
    host_gb = 4 * (WEIGHTS + 2 * 20 * WIDE) / 1e9
    assert f"into the host's memory first, in float32: {host_gb:.2g} GB." in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a recipe, or a model by --model"),
        (("miniature", "--model", "qwen3-8b"), "and not both"),
        (("miniature", "--mfu", "0.3"), "name it with --gpu, or leave out --mfu"),
        (("miniature", "--here", "--gpu", "l4"), "leave out --gpu, which names another one"),
        (("miniature", "--new-pieces", "20"), "a recipe says its own number"),
        (("--model", "qwen3-8b", "--gpus", "2"), "leave out --gpus and --here, or give a recipe"),
        (("--model", "qwen3-8b", "--here"), "leave out --gpus and --here, or give a recipe"),
        (("--model", "gpt-5"), "neither a folder here nor one of the models"),
    ],
)
def test_what_cannot_be_planned_together_is_refused(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["plan", *arguments])
    assert done.exit_code != 0 and message in str(done.exception)


@pytest.mark.slow
def test_a_way_that_fits_no_card_has_no_hours() -> None:
    small = Machine(replace(GPUS["t4"], memory_gb=1), 1, 0.4)
    assert [way.cards for way in ways_on_cards(config(), 0, 51_200, [small])] == [(None,)] * 8


@pytest.mark.slow
def test_the_docs_tables_follow_from_the_count_and_from_the_curves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "draw_scaling.py"))
    for name in MODELS:
        monkeypatch.setitem(known_models.KNOWN, name, (f"Small {name}", config))
    monkeypatch.setitem(script["cards_table"].__globals__, "NEW_PIECES", 20)
    rows = script["cards_table"]().splitlines()
    assert rows[0].count("GB") == 3 and len(rows) == 2 + len(MODELS) * 8 and rows[2].startswith("| Small llama-2-7b |")
    curve = {"losses": [2.0] * 60 + [1.0] * 60, "held_out": [{"step": 120, "en": 1.5, "ko": 2.5}]}
    other = {**curve, "losses": [2.0] * 60 + [1.1] * 60}
    content = {
        "steps": 120,
        "rows": 8,
        "hardware": {"processor": "a processor", "cores": 2},
        "versions": {"torch": "2"},
        "curves": {"full, float32": curve, "full, weights bf16": other},
    }
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    monkeypatch.setitem(script["cards_table"].__globals__, "ROOT", tmp_path)
    drawn = script["MINIATURE"]
    (tmp_path / "benchmarks" / "results" / f"{drawn.name}.json").write_text(json.dumps(content))
    section = script["curves_section"](drawn)
    # Stretches of 50, 50 and 20 steps: 40 and 20 of the last two differ, by a tenth.
    assert f"| full, weights bf16 | 1.4600 | {(0.08 + 0.1) / 3:.4f} | 1.5000 | 2.5000 |" in section
    assert "full, weights bf16" in script["draw_curves"](drawn)
    # Of a run without validation nothing is held out.
    curve["held_out"] = other["held_out"] = []
    (tmp_path / "benchmarks" / "results" / f"{drawn.name}.json").write_text(json.dumps(content))
    assert f"| full, weights bf16 | 1.4600 | {(0.08 + 0.1) / 3:.4f} |\n" in script["curves_section"](drawn)
