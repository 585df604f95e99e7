"""A system's phases follow one another in the memory of one."""

import gc
from typing import Any

import pytest
from transformers import PreTrainedModel

from crosstune.train import stage as train_stage
from crosstune.train import system as train_system
from tests.train.conftest import MakeRun, phase, scratch


def num_models() -> int:
    return sum(issubclass(type(one), PreTrainedModel) for one in gc.get_objects())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_when_a_phase_loads_its_model_those_before_it_are_gone(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    found = []

    def trainable(*arguments: Any) -> Any:
        found.append(num_models())
        return make_trainable(*arguments)

    make_trainable = train_system.begun_with
    monkeypatch.setattr(train_system, "begun_with", trainable)
    phases = [phase("korean", num_steps=2), phase(num_steps=2)]
    systems = {"base": scratch(phases=phases), "other": {"start": "base", "tokenizer": "base", "phases": phases}}
    recipe, run = make_run(systems, precision=precision)
    gc.collect()
    before = num_models()
    # Nothing is freed by chance.
    gc.disable()
    try:
        train_stage.run(recipe, run)
    finally:
        gc.enable()
    assert found == [before] * 4
