"""What acts on the weights beside the gradient does what its formula says, survives a kill, and works on two ranks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from pydantic import ValidationError
from torch import nn

from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import Phase, yaml_file
from crosstune.recipe.systems import System
from crosstune.runs.files import read_json
from crosstune.train import stage as train_stage
from crosstune.train import system as train_system
from crosstune.train.loss import summed_loss
from crosstune.train.methods.kl import StartDivergence, kl_divergence
from crosstune.train.methods.regularizers import PullToStart, Regularizer
from crosstune.train.methods.trainable import make_trainable, refuse_sharded_weights
from crosstune.train.rows import Segment
from tests.ranks import train_on_two
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, phase, scratch, weights
from tests.train.methods.test_parts import make_model

# Small beside the tolerances: where a gradient is next to nothing, AdamW turns rounding into whole steps.
LEARNING_RATE = 1e-3
PULLS: dict[str, Any] = {
    "l2_to_start": 5.0,
    "kl_to_start": {"weight": 0.5, "languages": ["en"]},
}
SYSTEMS: dict[str, Any] = {
    "base": scratch(),
    "ours": {
        "start": "base",
        "tokenizer": "extended",
        "phases": [phase(num_steps=n, learning_rate=LEARNING_RATE, **PULLS) for n in (7, 5)],
    },
}


def moved(
    regularizers: list[Regularizer], matrix: nn.Parameter, num_steps: int = 4, rate: float = 0.05
) -> list[torch.Tensor]:
    """Train a matrix on a made-up loss, and return it behind each step."""
    optimizer = torch.optim.AdamW([matrix], lr=rate, weight_decay=0.1)
    for regularizer in regularizers:
        regularizer.start(None)
    found = []
    for step in range(num_steps):
        (matrix * torch.arange(matrix.numel()).reshape(matrix.shape).cos() * (step + 1)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        for regularizer in regularizers:
            regularizer.after_step(rate)
        found.append(matrix.detach().clone())
    return found


def fresh() -> nn.Parameter:
    return nn.Parameter(torch.randn(6, 3, generator=torch.Generator().manual_seed(5)))


def test_weights_decay_towards_the_start() -> None:
    matrix, start = fresh(), fresh().detach()
    found = moved([PullToStart(nn.ParameterDict({"w": matrix}), strength=2.0)], matrix)
    expected, weight = [], fresh()
    optimizer = torch.optim.AdamW([weight], lr=0.05, weight_decay=0.1)
    for step in range(4):
        (weight * torch.arange(18).reshape(6, 3).cos() * (step + 1)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            weight -= 0.05 * 2.0 * (weight - start)
        expected.append(weight.detach().clone())
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("num_rows", [1, 64, 150])
def test_the_divergence_and_its_gradient_are_torchs_own(num_rows: int) -> None:
    generator = torch.Generator().manual_seed(num_rows)
    start, logits = (torch.randn(num_rows, 29, generator=generator) * 2 for _ in range(2))
    logits.requires_grad_()
    weights = torch.rand(num_rows, generator=generator)
    reference = nn.functional.kl_div(
        logits.log_softmax(-1), start.log_softmax(-1), reduction="none", log_target=True
    ).sum(-1)
    (expected,) = torch.autograd.grad((reference * weights).sum(), logits)
    found = kl_divergence(start, logits)
    (gradient,) = torch.autograd.grad((found * weights).sum(), logits)
    torch.testing.assert_close(found, reference, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_loss_takes_in_the_divergence_of_the_chosen_languages_only() -> None:
    model = make_trainable(make_model(), Phase.model_validate_json(json.dumps(phase())), None, 0).model
    divergence = StartDivergence(model, 0.7, ["en"])
    divergence.start(None)
    segments = [Segment((1, 5, 9, 8, 2), 2, 4, language, "s") for language in ("ko", "en", "en")]
    segments[2] = Segment((1, 7, 3, 2), 1, 4, "en", "s")
    device = torch.device("cpu")
    at_start = summed_loss(model, segments, device, penalty=divergence.penalty)
    # Nothing has moved yet: no divergence.
    torch.testing.assert_close(at_start.total, summed_loss(model, segments, device).total)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)
    plain = summed_loss(model, segments, device)
    with_divergence = summed_loss(model, segments, device, penalty=divergence.penalty)
    torch.testing.assert_close(with_divergence.per_segment, plain.per_segment)
    start = make_trainable(make_model(), Phase.model_validate_json(json.dumps(phase())), None, 0).model
    expected = 0.0
    for segment in segments[1:]:
        ids = torch.tensor([segment.tokens])
        logits = [
            one.set_attn_implementation("sdpa") or one(input_ids=ids).logits[0, segment.num_prompt - 1 : -1]
            for one in (start, model)
        ]
        expected += float(
            nn.functional.kl_div(logits[1].log_softmax(-1), logits[0].log_softmax(-1), reduction="sum", log_target=True)
        )
    assert float(with_divergence.total - plain.total) == pytest.approx(0.7 * expected, rel=1e-3)
    assert divergence.penalty(segments[:1], np.zeros(3, int), torch.zeros(3, 50)) is None


def test_a_run_with_all_of_them_that_breaks_off_ends_like_one_that_does_not(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, whole = make_run(SYSTEMS, root=tmp_path / "whole", save_every_steps=2, keep_checkpoints=1)
    train_stage.run(recipe, whole)
    recipe, broken = make_run(SYSTEMS, root=tmp_path / "broken", save_every_steps=2, keep_checkpoints=1)
    # In the first phase of `ours`, in its second, and in that again: what it began with is long gone by then.
    for num_steps in (8 + 5, 1 + 2 + 3, 2):
        with pytest.raises(Interrupted), broken_off_after(num_steps):
            train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    for name, weight in weights(whole, "ours").items():
        assert torch.equal(weights(broken, "ours")[name], weight), name


@pytest.mark.parametrize("name", PULLS)
def test_each_of_them_changes_what_is_learnt(make_run: MakeRun, tmp_path: Path, name: str) -> None:
    found = []
    for folder, pulls in (("without", {}), ("with", {name: PULLS[name]})):
        ours = {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=4, **pulls)]}
        recipe, run = make_run({"base": scratch(), "ours": ours}, root=tmp_path / folder)
        train_stage.run(recipe, run)
        found.append(weights(run, "ours"))
    assert any(not torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_merging_interpolates_what_both_models_have(make_run: MakeRun) -> None:
    systems = {
        "base": scratch(),
        "ours": {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=4)]},
        "merged": {"start": "ours", "tokenizer": "extended", "merge": {"system": "base", "weight": 0.25}},
        "half": {"start": "ours", "tokenizer": "extended", "phases": [phase(num_steps=2)], "merge": {"weight": 0.5}},
    }
    recipe, run = make_run(systems)
    train_stage.run(recipe, run)
    base, ours, merged = (weights(run, name) for name in ("base", "ours", "merged"))
    num_old = len(base["model.embed_tokens.weight"])
    for name, weight in merged.items():
        old = num_old if name in ("model.embed_tokens.weight", "lm_head.weight") else len(weight)
        torch.testing.assert_close(weight[:old], 0.75 * ours[name][:old] + 0.25 * base[name], rtol=1e-6, atol=1e-7)
        assert torch.equal(weight[old:], ours[name][old:])
    # With its own start: all rows are common to both, and there was training in between.
    half = weights(run, "half")
    assert not torch.equal(half["lm_head.weight"][num_old:], ours["lm_head.weight"][num_old:])


@pytest.mark.slow
def test_two_processes_learn_with_all_of_them_what_one_learns(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, single = make_run(SYSTEMS, root=tmp_path / "single")
    train_stage.run(recipe, single)
    recipe, double = make_run(SYSTEMS, root=tmp_path / "double")
    train_on_two(recipe, tmp_path / "double").finish()
    assert {done["num_processes"] for done in read_json(double.system("ours") / "system.json")["phases"]} == {2}
    for name, weight in weights(single, "ours").items():
        torch.testing.assert_close(weights(double, "ours")[name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", PULLS)
def test_split_weights_are_refused_where_whole_ones_are_needed(name: str) -> None:
    pulled = Phase.model_validate_json(json.dumps(phase(**{name: PULLS[name]})))
    deepspeed: Any = SimpleNamespace(distributed_type=DistributedType.DEEPSPEED, is_fsdp2=False)
    with pytest.raises(BadInputError, match=f"`{name}` was launched with .*DEEPSPEED.* needs them whole"):
        refuse_sharded_weights(deepspeed, pulled)
    fsdp: Any = SimpleNamespace(distributed_type=DistributedType.FSDP, is_fsdp2=True)
    if name == "l2_to_start":
        refuse_sharded_weights(fsdp, pulled)
    else:
        with pytest.raises(BadInputError, match=f"`{name}` was launched with .*FSDP.* needs them whole"):
            refuse_sharded_weights(fsdp, pulled)


def test_what_split_weights_cannot_do_is_refused_before_the_first_phase(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any, phase: Phase) -> None:
        if phase.l2_to_start:
            raise BadInputError("split")

    monkeypatch.setattr(train_system, "refuse_sharded_weights", refuse)
    recipe, run = make_run({"base": scratch(phases=[phase(), phase(l2_to_start=1.0)])})
    with pytest.raises(BadInputError, match="split"):
        train_stage.run(recipe, run)
    assert not (run.system("base") / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"start": "scratch", "merge": {"weight": 0.5}}, "needs a system to merge with"),
        ({"merge": {"weight": 1.0}}, "less than 1"),
        ({"phases": [phase(kl_to_start={"weight": 0.1, "languages": []})]}, "at least 1 item"),
    ],
)
def test_settings_that_do_not_fit_are_refused(system: dict[str, Any], message: str) -> None:
    content = {"start": "base", "tokenizer": "extended", **system}
    if content["start"] == "scratch":
        content = {**scratch(), **system}
    with pytest.raises(ValidationError, match=message):
        System.model_validate_json(json.dumps(content))


def test_only_what_a_system_comes_from_can_be_merged_with(recipe_content: dict[str, Any]) -> None:
    ours = next(name for name in recipe_content["systems"] if name != "base")
    recipe_content["systems"][ours]["merge"] = {"system": ours, "weight": 0.5}
    with pytest.raises(
        RecipeError, match=rf"merge\.system: '{ours}' is not one of the systems that '{ours}' comes from"
    ):
        yaml_file.validate(recipe_content, "test")
