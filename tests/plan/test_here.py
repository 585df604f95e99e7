"""Planning for this machine: what its own rows take, measured."""

import pytest

from crosstune.plan import here
from crosstune.plan.here import this_machine
from crosstune.plan.plan import make_plan
from crosstune.plan.print_plan import print_plan, to_json
from tests.train.conftest import MakeRun, phase, scratch


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "SECONDS", 0.2)


@pytest.mark.whole
def test_a_plan_for_this_machine_is_measured_on_the_phases_own_rows(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora={"rank": 2}), phase()]}
    recipe, run = make_run({"base": scratch(), "lora": lora})
    machine = this_machine()
    plans = make_plan(recipe, run, machine)
    full, adapters, again = (plan.measured for plan in plans)
    assert full is not None and adapters is not None and full.num_layers == adapters.num_layers == 2
    assert again is full  # the same shape and phase are measured once
    assert 0 < full.flops_per_second < machine.gpu.float32_tflops * 1e12 and full.optimizer_seconds > 0
    expected = plans[0].useful_flops / full.flops_per_second + plans[0].tokens.num_steps * full.optimizer_seconds
    assert plans[0].hours * 3600 == pytest.approx(expected)
    print_plan(plans, machine)
    printed = " ".join(capsys.readouterr().out.split())
    assert "measured here on its own rows (layers: 2)" in printed and "% of the peak rate" not in printed
    assert ("Memory per GPU" in printed) is ("CUDA context" in printed) is not machine.gpu.is_processor
    assert to_json(plans, machine)["phases"][0]["measured"]["num_layers"] == 2


@pytest.mark.whole
def test_a_model_that_is_too_large_to_be_tried_whole_is_tried_with_fewer_layers(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = {"hidden_size": 32, "num_layers": 12, "num_heads": 4, "intermediate_size": 64}
    recipe, run = make_run({"base": scratch(architecture=deep)}, base_weights="float32")
    monkeypatch.setattr(here, "matrix_rate", lambda *_: 1.0)  # so slow that one row and layer are too much
    (plan,) = make_plan(recipe, run, this_machine())
    assert plan.measured is not None and plan.measured.num_layers == 1
    monkeypatch.setattr(here, "free_memory", lambda: 1000)
    (plan,) = make_plan(recipe, run, this_machine())
    assert plan.measured is not None and (plan.measured.num_layers, plan.measured.flops_per_second) == (0, 0.4)
    assert not plan.fits
