"""What `crosstune init` proposes and prints: the precision of training, names of sources, tasks that are left out."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
import torch
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.init import command, machine
from crosstune.init.benchmarks import as_label
from crosstune.init.plan_hours import HoursPlan
from crosstune.plan.here import Measured, Stopwatch
from crosstune.plan.machines import Gpu
from crosstune.recipe.yaml_file import load_recipe
from crosstune.terminal.output import SafeConsole
from tests.doctor.conftest import MakeModel
from tests.init.conftest import init, write_instructions, write_pairs, written


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.5, 0.8])
def test_a_processor_with_bfloat16_trains_in_it_if_the_model_gains(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    rates = {"bf16": gain * 1e9, "float32": 1e9}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "this_device", lambda: Gpu("this machine", 64.0, 2.0, 1.0))
    monkeypatch.setattr(Stopwatch, "measure", lambda _, case, *__: Measured(rates[case.settings.precision], 0.0, 1))
    out = folder.parent / "recipe.yaml"
    arguments = ["init", str(make_model()), str(folder), "--to", "ko", "--out", str(out)]
    done = CliRunner().invoke(app.app, arguments)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    recipe, text = load_recipe(out), out.read_text("utf-8")
    assert recipe.train.precision == ("bf16" if gain > 1 else "float32") and recipe.evaluate.precision == "float32"
    assert ("trains the model 1.5 times as fast in bfloat16 as in float32" in text) == (gain > 1)


@pytest.mark.slow
def test_files_named_in_another_script_keep_their_names(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "1_구어체(1).tsv", "ko")
    # As macOS writes it into names: in parts.
    write_instructions(folder / f"{normalize('NFD', '지시문')}.json", "ko")
    recipe, _ = written(make_model(), folder, "ko")
    assert [*recipe.data.sources] == ["1_구어체_1", "지시문"]
    assert {part.source for part in recipe.data.mixtures["tuning"]} == {"1_구어체_1", "지시문"}


def test_names_of_files_become_names_of_a_recipe() -> None:
    given = {
        "Alpaca Data-GPT4": "alpaca_data_gpt4",
        "हिन्दी पाठ": "हिन्दी_पाठ",
        "データ①": "データ1",
        "2024": "file_2024",
    }
    given |= {"1e5": "file_1e5", "()": "file", "가" * 80: "가" * 50}
    assert {name: as_label(name) for name in given} == given


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120])
def test_tasks_that_are_too_long_have_a_line_each(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    plan_hours, minutes = command.plan_hours, {"kobest_hellaswag": 25.0, "nsmc_generate": 0.5, "kobest_copa": 150.0}

    def with_too_long(*asked: Any) -> HoursPlan:
        plan = plan_hours(*asked)
        scored = replace(plan.budget.scored, too_long=minutes, stands_in={"nsmc_generate": "text_ko"})
        return replace(plan, budget=replace(plan.budget, scored=scored))

    monkeypatch.setattr(command, "plan_hours", with_too_long)
    monkeypatch.setattr(command, "results", SafeConsole(width=width))
    printed = init(make_model(), folder, "ko").stdout.splitlines()
    place = next(
        place for place, line in enumerate(printed) if line.startswith("not scored in 3 hours  takes at least")
    )
    assert [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in printed[place + 1 : place + 4]] == [
        ["nsmc_generate", "30 seconds  text_ko stands for it"],
        ["kobest_hellaswag", "25 minutes  too long"],
        ["kobest_copa", "2.5 hours  too long"],
    ]
    assert max(len(line.rstrip()) for line in printed) <= width
