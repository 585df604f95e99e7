"""The benchmark of learning curves goes on with a curve that was broken off."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from crosstune.recipe import yaml_file
from crosstune.train import stage as train_stage
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, phase, scratch

FILE = Path(__file__).parents[2] / "benchmarks" / "precision_curves.py"
NAME = "lora, base bf16"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("precision_curves", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_curve_that_was_broken_off_goes_on_from_its_last_checkpoint_and_is_the_same(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=2)])})
    train_stage.run(recipe, run)
    run.recipe.write_text(yaml_file.dump(recipe), encoding="utf-8")
    curves = benchmark()
    monkeypatch.setattr(curves, "_SAVE_EVERY_STEPS", 4)

    def draw(file: Path) -> list[float]:
        asked = ["--start", "base", "--steps", "10", "--rows", "4", "--curves", NAME, "--json", str(file)]
        monkeypatch.setattr(sys, "argv", ["precision_curves.py", str(run.root), *asked])
        curves.main()
        losses: list[float] = json.loads(file.read_text(encoding="utf-8"))["curves"][NAME]["losses"]
        return losses

    broken = tmp_path / "broken.json"
    with pytest.raises(Interrupted), broken_off_after(7):
        draw(broken)
    assert not broken.exists()
    # After the checkpoint of step 4 there are six steps.
    with broken_off_after(6):
        found = draw(broken)
    assert found == draw(tmp_path / "whole.json") and len(found) == 10
    assert not list(tmp_path.glob("*.unfinished/*"))
