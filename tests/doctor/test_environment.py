"""`crosstune doctor` without a model: what a bug report needs, and a test of a few seconds."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.doctor import environment
from crosstune.doctor.findings import Finding
from crosstune.plan.machines import Gpu

FOUND: list[Finding] = []


def found(name: str) -> Finding:
    """The finding of a name; the machine is looked at once for all tests."""
    if not FOUND:
        FOUND.extend(environment.environment())
    return next(finding for finding in FOUND if finding.name == name)


@pytest.mark.slow
def test_versions_of_what_decides_numbers_are_told() -> None:
    assert found("crosstune").values["python"].count(".") == 2
    assert {"torch", "transformers", "tokenizers"} <= set(found("libraries").values)


def test_extras_are_those_of_the_package_with_what_each_brings_and_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_installed", lambda name: name != "openpyxl")
    (extras,) = environment.extras()
    assert "not installed: dev (the tests). To add one: pip install 'crosstune[dev]'" in extras.says
    assert extras.values["not_there"] == {"dev": ["openpyxl"]}
    monkeypatch.setattr(environment, "is_installed", lambda name: False)
    (extras,) = environment.extras()
    assert "web (crosstune compare)" in extras.says
    written = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    names = {name.replace("_", "-") for name in written["project"]["optional-dependencies"]}
    assert names == {*environment.BRINGS}


@pytest.mark.slow
def test_machine_and_disk_are_measured() -> None:
    assert found("processor").values["cores"] >= 1
    assert found("disk").values["free_gb"] > 0
    assert found("GPU").says == "none that torch can use" or found("GPU 0").values["total_bytes"] > 0


@pytest.mark.parametrize(
    ("rate", "advice"), [(2.0, "`train.precision: bf16` trains faster"), (0.4, "train in float32")]
)
def test_a_processor_is_said_to_gain_by_bfloat16_or_not(rate: float, advice: str) -> None:
    finding = environment.bfloat16(Gpu("this machine", 64.0, rate, 1.0))
    assert finding.says.startswith(f"matrix products are {rate} times as fast as in float32") and advice in finding.says


@pytest.mark.slow
def test_a_tiny_model_reads_learns_and_is_saved() -> None:
    assert found("cpu").verdict == "ok", found("cpu").says
    ways = found("cpu").values["ways"]
    assert [way["use"] for way in ways] == ["training", "scoring", "generation"]
    assert found("cpu").values["losses"][1] < found("cpu").values["losses"][0] / 2


def test_what_fails_in_the_self_test_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(environment, "path_of", fail)
    finding = next(iter(environment.self_test()))
    assert (finding.verdict, "no kernel image is available" in finding.says) == ("stop", True)


def test_a_folder_that_may_not_be_written_to_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(environment, "TemporaryDirectory", refuse)
    (disk,) = environment.disk(environment.Path())
    assert (disk.verdict, "set runs_root" in disk.says) == ("stop", True)


def test_the_command_prints_one_document_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("machine", "disk", "stop", "full")
    monkeypatch.setattr(environment, "environment", lambda: [finding])
    done = CliRunner().invoke(app.app, ["doctor", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["says"] == "full"
