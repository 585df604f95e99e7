"""The pipeline: one run per folder, one recipe per run, clear refusals."""

import resource
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from crosstune.cli import app as command_line
from crosstune.cli import experiments, stages
from crosstune.errors import BadInputError, RunFolderError
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import files, pipeline
from crosstune.runs.files import read_json
from crosstune.runs.lock import only_process_in
from tests.command_line import ENVIRONMENT, crosstune_from_cold
from tests.launched import launched


@pytest.fixture
def recipe(recipe_content: dict[str, Any], tmp_path: Path) -> Recipe:
    recipe_content["runs_root"] = str(tmp_path)
    return yaml_file.validate(recipe_content, "r")


def test_every_stage_is_a_package_with_a_run_function() -> None:
    for stage in pipeline.STAGES:
        assert find_spec(f"crosstune.{stage.name}.stage")


@pytest.mark.slow
def test_a_run_writes_its_recipe_and_refuses_another(recipe: Recipe, recipe_content: dict[str, Any]) -> None:
    run = pipeline.run_stages(recipe, (), "crosstune run", update=False)
    assert yaml_file.load_recipe(run.recipe) == recipe
    recipe_content["seed"] = 2
    other = yaml_file.validate(recipe_content, "r")
    run.system("base").mkdir(parents=True)
    (run.system("base") / "metrics.jsonl").touch()
    with pytest.raises(RunFolderError, match=r"(?s)seed: 1 -> 2.*--update"):
        pipeline.run_stages(other, (), "crosstune run", update=False)
    pipeline.run_stages(other, (), "crosstune run", update=True)
    assert yaml_file.load_recipe(run.recipe) == other


def test_a_folder_in_which_nothing_was_trained_is_taken_over_with_a_word(
    recipe: Recipe, recipe_content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline.run_stages(recipe, (), "crosstune plan", update=False)
    recipe_content["seed"] = 2
    other = yaml_file.validate(recipe_content, "r")
    pipeline.run_stages(other, (), "crosstune run", update=False)
    assert yaml_file.load_recipe(run.recipe) == other
    assert "was prepared for another recipe, and nothing was trained there" in capsys.readouterr().err


def test_two_processes_never_work_in_one_folder(recipe: Recipe, tmp_path: Path) -> None:
    with only_process_in(tmp_path / recipe.name, "wait"):  # noqa: SIM117
        with pytest.raises(RunFolderError, match="another crosstune process"):
            pipeline.run_stages(recipe, (), "crosstune run", update=False)


def test_what_a_killed_process_wrote_half_is_removed(recipe: Recipe, tmp_path: Path) -> None:
    left = tmp_path / recipe.name / "report" / ".failures.csv.27911.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    scored = tmp_path / recipe.name / f"{files.SCORING}k3f_"
    scored.mkdir()
    (scored / "copa.jsonl").touch()
    pipeline.run_stages(recipe, (), "crosstune run", update=False)
    assert not left.exists() and not scored.exists()


def test_what_cannot_be_written_leaves_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(tmp_path / "a.json", "{}")
    assert not list(tmp_path.iterdir())


def test_only_training_runs_on_several_processes(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 8)
    with pytest.raises(RunFolderError, match="8 processes were launched for the stages data, report"):
        pipeline.run_stages(recipe, ("data", "report"), "crosstune run", update=False)


def test_a_stages_time_and_hardware_are_noted(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeStage:
        @staticmethod
        def run(recipe: Recipe, run: Any) -> None: ...

        @staticmethod
        def look_at(recipe: Recipe, stages: Any) -> None: ...

    monkeypatch.setattr(pipeline, "import_module", lambda name: FakeStage)
    run = pipeline.run_stages(recipe, ("data",), "crosstune data r.yaml", update=False)
    facts = read_json(run.root / "run.json")
    assert facts["command"] == "crosstune data r.yaml" and facts["hardware"]["cores"] >= 1 and "data" in facts["stages"]


def test_a_users_mistake_ends_in_a_message_without_traceback() -> None:
    done = crosstune_from_cold("run", "nothing.yaml")
    assert done.returncode == 2 and "cannot read this recipe" in done.stderr and "Traceback" not in done.stderr
    assert "Traceback" in crosstune_from_cold("--debug", "run", "nothing.yaml").stderr


def test_what_stands_in_brackets_in_a_message_is_shown() -> None:
    assert "no[thing].yaml" in crosstune_from_cold("run", "no[thing].yaml").stderr


def test_an_error_that_nobody_foresaw_says_how_to_see_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("[lost]")

    monkeypatch.setattr(command_line, "app", broken)
    monkeypatch.setattr("sys.argv", ["crosstune", "run", "r.yaml"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    message = capsys.readouterr().err
    assert ended.value.code == 1 and "unexpected error: KeyError: '[lost]'" in message
    assert "crosstune --debug run r.yaml" in message and "Traceback" not in message
    monkeypatch.setattr("sys.argv", ["crosstune", "--debug", "run", "r.yaml"])
    with pytest.raises(KeyError):
        command_line.main()


def test_help_names_every_stage_and_loads_nothing_heavy() -> None:
    done = crosstune_from_cold("--help")
    assert done.returncode == 0 and all(stage.name in done.stdout for stage in pipeline.STAGES)
    heavy = ("torch", "transformers", "lm_eval", "numpy", "pyarrow", "pydantic", "ruamel")
    code = f"import sys, crosstune.__main__; print(*[name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_help_comes_at_once() -> None:
    """0.2 s of processor time on a free core; the bound leaves room for a busy one."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert crosstune_from_cold("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.8


def test_dry_run_prints_a_valid_recipe(tmp_path: Path) -> None:
    miniature = Path(__file__).parents[2] / "recipes" / "miniature.yaml"
    done = crosstune_from_cold("run", str(miniature), "--dry-run", "seed=5")
    (tmp_path / "resolved.yaml").write_text(done.stdout, encoding="utf-8")
    assert yaml_file.load_recipe(tmp_path / "resolved.yaml").seed == 5


def test_ctrl_c_ends_with_a_message_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    miniature = Path(__file__).parents[2] / "recipes" / "miniature.yaml"
    process = subprocess.Popen(
        [sys.executable, "-m", "crosstune", "data", str(miniature), f"runs_root={tmp_path}"],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # A test run that was started in the background has Ctrl-C switched off, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    run = tmp_path / "miniature"
    deadline = time.monotonic() + 60
    while not (run / "world").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130 and "Run the same command again to resume" in message
    assert "Traceback" not in message
    finished = [folder for folder in run.glob("data/*/*") if not folder.name.startswith(".")]
    assert all((folder / "manifest.json").exists() for folder in [run / "world", *finished])


@pytest.fixture
def starts_from_nothing(recipe_content: dict[str, Any], tmp_path: Path) -> Recipe:
    """A recipe whose two systems start from a folder without weights and from one that is not there."""
    (tmp_path / "empty").mkdir()
    recipe_content["systems"]["base"]["start"] = str(tmp_path / "empty")
    recipe_content["systems"]["lost"] = {"start": "nowhere", "tokenizer": "base"}
    recipe_content["runs_root"] = str(tmp_path / "runs")
    return yaml_file.validate(recipe_content, "r")


@pytest.mark.parametrize("names", [("data",), ("tokenizer",), ("train",), ("evaluate",), pipeline.STAGE_NAMES])
def test_no_stage_begins_before_what_the_recipe_starts_from_was_looked_at(
    starts_from_nothing: Recipe, names: tuple[str, ...]
) -> None:
    message = r"(?s)systems\.base\.start: .*needs config\.json.*systems\.lost\.start: 'nowhere'"
    with pytest.raises(BadInputError, match=message):
        pipeline.run_stages(starts_from_nothing, names, "crosstune run", update=False)
    assert not starts_from_nothing.runs_root.exists()


def test_the_folder_stays_locked_for_what_comes_after_the_stages(recipe: Recipe) -> None:
    with pipeline.stages_run(recipe, (), "crosstune run", update=False):  # noqa: SIM117
        with pytest.raises(RunFolderError, match="another crosstune process"):
            pipeline.run_stages(recipe, (), "crosstune run", update=False)


@pytest.mark.parametrize("command", ["sweep", "plan", "audit"])
def test_what_reads_a_runs_mixtures_and_writes_beside_them_holds_its_lock(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def work(*_: object) -> Any:
        with pytest.raises(RunFolderError, match="another crosstune process"):
            pipeline.run_stages(recipe, (), "crosstune run", update=False)
        raise RuntimeError("worked")

    yaml = tmp_path / "recipe.yaml"
    yaml.write_text(yaml_file.dump(recipe), encoding="utf-8")
    monkeypatch.setattr(pipeline, "check_inputs", lambda *_: None)
    monkeypatch.setattr(pipeline, "run_stage", lambda *_: None)
    monkeypatch.setattr("crosstune.tokenizer.sweep.sweep", work)
    monkeypatch.setattr("crosstune.plan.plan.make_plan", work)
    monkeypatch.setattr("crosstune.tokens.audit.audit", work)
    with pytest.raises(RuntimeError, match="worked"):
        if command == "audit":
            stages.data(yaml, audit=True)
        else:
            getattr(experiments, command)(yaml)
