"""Weights in bfloat16, rounded at random: small updates arrive on average, runs go on exactly, models stay float32."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from crosstune.cli import inputs
from crosstune.errors import BadInputError, RecipeError
from crosstune.models.half_weights import HalfLinear, halve_weights, restore_weights
from crosstune.recipe import Recipe, Train
from crosstune.runs.folder import RunFolder
from crosstune.train import loop
from crosstune.train import stage as train_stage
from crosstune.train.methods import optimizer as optimizers
from crosstune.train.methods.optimizer import make_optimizer, set_learning_rate
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, phase, scratch
from tests.train.methods.test_trainable import make_phase

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
HALF = Train(weights="bf16")


@pytest.fixture(autouse=True)
def with_torchao() -> None:
    pytest.importorskip("torchao", reason="the extra eight_bit is not installed")


def weights(run: RunFolder) -> dict[str, Tensor]:
    return load_file(run.system("base") / "model" / "model.safetensors")


def losses(run: RunFolder) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.system("base") / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_updates_far_below_the_last_digit_arrive_on_average(optimizer: str) -> None:
    # Beside 1 the numbers of bfloat16 are 2^-7 apart, and 2^-8 below it: of steps of 1e-5 each would be lost.
    model = nn.ParameterList([nn.Parameter(torch.ones(256, 256, dtype=torch.bfloat16))])
    settings = Train.model_validate({"weights": "bf16", "optimizer": optimizer})
    stepped = make_optimizer(model, make_phase(learning_rate=1e-5), settings)
    torch.manual_seed(0)
    for _ in range(20):
        set_learning_rate(stepped, 1e-5)
        model[0].grad = torch.ones_like(model[0])
        stepped.step()
    moved = 1 - model[0].detach().double()
    # Twenty steps of Adam by equal gradients are 20 rates. A weight is 1 or 1 - 2^-8: a coin of probability 0.05.
    error = 2**-8 * (0.05 * 0.95 / moved.numel()) ** 0.5
    assert float(moved.mean()) == pytest.approx(20e-5, abs=4 * error)
    assert torch.equal(moved * 2**8, (moved * 2**8).round())
    assert all(state["exp_avg"].dtype == torch.float32 for state in stepped.state.values() if optimizer == "adamw")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_rounding_at_random_has_no_bias_in_a_whole_step(optimizer: str) -> None:
    start, gradient = (torch.randn(256, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    start = start.bfloat16().float()

    def step(weight: Tensor, settings: Train) -> Tensor:
        model = nn.ParameterList([nn.Parameter(weight.clone())])
        stepped = make_optimizer(model, make_phase(learning_rate=1e-3, weight_decay=0.1), settings)
        set_learning_rate(stepped, 1e-3)
        model[0].grad = gradient.to(weight.dtype)
        stepped.step()
        return model[0].detach().double()

    exact = step(start, Train.model_validate({"optimizer": optimizer}))
    torch.manual_seed(3)
    settings = Train.model_validate({"weights": "bf16", "optimizer": optimizer})
    errors = torch.stack([step(start.bfloat16(), settings) - exact for _ in range(64)])
    digit = 2.0 ** exact.abs().log2().floor() * 2**-7
    assert bool((errors.abs() <= digit).all())
    # In digits, the mean of n draws has a spread of at most 0.5 / sqrt(n).
    mean = float((errors / digit).mean())
    assert abs(mean) < 4 * 0.5 / errors.numel() ** 0.5


@pytest.mark.parametrize("tied", [True, False])
def test_halved_weights_compute_in_the_precision_of_the_states_and_come_back_whole(tied: bool) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, vocab_size=50, tie_word_embeddings=tied))
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()
    ids = torch.tensor([[1, 5, 9, 3]])
    expected, names = model(input_ids=ids).logits, list(model.state_dict())
    halve_weights(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    found = model(input_ids=ids).logits
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.dtype == torch.bfloat16 for weight in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert model(input_ids=ids).logits.dtype == torch.bfloat16
    restore_weights(model)
    assert torch.equal(model(input_ids=ids).logits, expected) and list(model.state_dict()) == names
    assert not any(isinstance(part, HalfLinear) for part in model.modules())
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw_8bit"}, {"precision": "bf16"}])
def test_a_model_learns_what_it_learns_with_weights_in_float32(
    make_run: MakeRun, tmp_path: Path, settings: dict[str, Any]
) -> None:
    found = []
    for half in ({}, {"weights": "bf16"}):
        recipe, run = make_run({"base": scratch()}, root=tmp_path / str(len(half)), **settings, **half)
        train_stage.run(recipe, run)
        found.append(losses(run))
    assert found[1] == pytest.approx(found[0], rel=0.02) and found[0] != found[1]
    assert {weight.dtype for weight in weights(run).values()} == {torch.float32}
    assert all(torch.equal(weight, weight.bfloat16().float()) for weight in weights(run).values())
    reading = json.loads((run.system("base") / "system.json").read_text())["phases"][0]["reading"]
    assert reading["way"] == "packed"


def test_a_run_that_breaks_off_ends_with_the_same_weights_bit_for_bit(make_run: MakeRun, tmp_path: Path) -> None:
    phases = [phase("korean", num_steps=5), phase(num_steps=7)]

    def make(where: str) -> tuple[Recipe, RunFolder]:
        return make_run({"base": scratch(phases=phases)}, root=tmp_path / where, weights="bf16")

    recipe, whole = make("whole")
    train_stage.run(recipe, whole)
    recipe, broken = make("broken")
    for num_steps in (4, 6):
        with broken_off_after(num_steps), pytest.raises(Interrupted):
            train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    expected = weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(broken).items())


def test_what_rounds_weights_is_drawn_alike_on_every_rank(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from crosstune.train.methods.eight_bit import EightBitAdamW

    asked: list[int] = []
    seed, step = loop.step_seed, EightBitAdamW.step
    before_step: list[int] = []

    def recorded_seed(job: Any, number: int, rank: int) -> int:
        asked.append(rank)
        return seed(job, number, rank)

    def recorded_step(self: Any, closure: Any = None) -> Any:
        before_step.append(asked[-1])
        return step(self, closure)

    monkeypatch.setattr(loop, "step_seed", recorded_seed)
    monkeypatch.setattr(EightBitAdamW, "step", recorded_step)
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=2)])}, weights="bf16")
    train_stage.run(recipe, run)
    assert before_step == [2**31] * 2 and 0 in asked


def test_what_does_not_go_with_halved_weights_is_refused_by_the_recipe(make_run: MakeRun) -> None:
    lora = phase(method="lora", lora={"rank": 2})
    for chosen, named in (
        (lora, "lora"),
        (phase(trains=["layers"]), "layers"),
        (phase(l2_to_start=0.1), "l2_to_start"),
    ):
        with pytest.raises(RecipeError, match=rf"weights: bf16.*systems\.base\.phases\.0 \(.*{named}"):
            make_run({"base": scratch(phases=[chosen])}, weights="bf16")
    with pytest.raises(RecipeError, match="found fp8"):
        make_run({"base": scratch()}, weights="bf16", precision="fp8")


def test_what_the_machine_lacks_is_told_at_the_dry_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = make_run({"base": scratch()}, weights="bf16")
    inputs.check_machine(recipe)
    for engine, said in (("FSDP", "was launched with FSDP"), ("DEEPSPEED", "was launched with DeepSpeed")):
        with monkeypatch.context() as patch:
            patch.setenv(f"ACCELERATE_USE_{engine}", "true")
            with pytest.raises(BadInputError, match=f"train.weights=bf16 {said}"):
                inputs.check_machine(recipe)
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None if name == "torchao" else find_spec(name))
    with pytest.raises(BadInputError, match=r"train.weights=bf16 needs torchao.*crosstune\[eight_bit\]"):
        inputs.check_machine(recipe)


def test_matrices_outside_of_linear_layers_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"3 other matrices|2 other matrices"):
        halve_weights(MixtralForCausalLM(MixtralConfig(**SHAPE, vocab_size=50, num_local_experts=4)))
