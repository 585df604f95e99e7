"""Work in several processes: in order, shown as one, and ended together."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from crosstune.errors import BadInputError, CrosstuneError
from crosstune.runs import workers as side_by_side
from crosstune.runs.workers import at_once, run_side_by_side
from crosstune.terminal import bars
from crosstune.terminal.bars import SECONDS_BETWEEN_MOVES, progress
from crosstune.terminal.output import console, note
from tests.command_line import ENVIRONMENT
from tests.launched import launched


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "num_cores", lambda: 4)


def note_threads(folder: Path, name: str) -> None:
    import torch

    (folder / name).write_text(f"{torch.get_num_threads()} {time.monotonic()}")


def say(description: str) -> None:
    note("as it were")
    with progress(description, total=30) as advance:
        with progress("inside it", total=1) as inner:
            time.sleep(2 * SECONDS_BETWEEN_MOVES)
            inner()
        for _ in range(30):
            advance(1, "loss 1.5")


def fail(error: type[Exception]) -> None:
    raise error("systems.b: too long")


def wait_for_the_end(folder: Path, name: str) -> None:
    (folder / name).write_text(str(os.getpid()))
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        (folder / f"{name} saved").touch()
        raise


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(folder: Path, other: str, name: str) -> None:
    deadline = time.monotonic() + 60
    while not (folder / other).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    note_threads(folder, name)


def dies_beside(folder: Path) -> None:
    (folder / "dead").touch()
    die()


def finished(folder: Path, name: str) -> tuple[int, float]:
    threads, at = (folder / name).read_text().split()
    return int(threads), float(at)


def test_a_piece_of_work_waits_for_the_one_that_it_needs_and_cores_are_shared(tmp_path: Path) -> None:
    run_side_by_side(["c", "b", "a"], {"b": "a", "c": "a"}, lambda name: partial(note_threads, tmp_path, name), 2)
    threads, at = zip(*(finished(tmp_path, name) for name in "abc"), strict=True)
    assert threads == (4, 2, 2)
    assert at[0] < min(at[1:])


def test_spare_work_is_begun_where_a_core_would_be_idle(tmp_path: Path) -> None:
    """Beside the last piece, which was given half of the threads; not beside the first, which has all of them."""
    after = {"b": "a", "c": "a", "spare": "a", "of the last": "c"}

    def call_of(name: str) -> side_by_side.Call:
        return partial(wait_for, tmp_path, "spare", name) if name == "c" else partial(note_threads, tmp_path, name)

    run_side_by_side(["a", "c", "b"], after, call_of, 2, fillers=["of the last", "spare"])
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c", "spare"}
    assert [finished(tmp_path, name)[0] for name in ("a", "b", "spare")] == [4, 2, 1]


def test_the_death_of_spare_work_stops_nobody(tmp_path: Path) -> None:
    def call_of(name: str) -> side_by_side.Call:
        return partial(dies_beside, tmp_path) if name == "spare" else partial(wait_for, tmp_path, "dead", name)

    run_side_by_side(["a", "b"], {"spare": "b"}, lambda name: call_of(name) if name != "b" else None, 2, ["spare"])
    assert {path.name for path in tmp_path.iterdir()} == {"a", "dead"}


def test_what_is_done_already_holds_nothing_up(tmp_path: Path) -> None:
    run_side_by_side(
        ["b", "a"], {"b": "a"}, lambda name: partial(note_threads, tmp_path, name) if name == "b" else None, 2
    )
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_text_and_bars_of_all_are_shown(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "width", 120)
    run_side_by_side(["a", "b"], {}, lambda name: partial(say, "a: train" if name == "a" else "score"), 2)
    shown = capfd.readouterr().err
    assert shown.count("as it were") == 2 and "inside it" not in shown
    for bar in ("a: train", "b: score"):
        (line,) = (line for line in shown.splitlines() if bar in line)
        assert "30/30" in line and "loss 1.5" in line


def test_work_inside_a_step_of_another_process_is_told_behind_its_bar(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 120)
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", -1)
    run_side_by_side(["a", "b"], {}, lambda _: partial(say, "train"), 2)
    lines = [line.rstrip() for line in capfd.readouterr().err.splitlines()]
    for bar in ("a: train", "b: train"):
        assert any(bar in line and "0/30" in line and line.endswith("inside it 1/1") for line in lines)


@pytest.mark.parametrize(("error", "expected"), [(BadInputError, CrosstuneError), (KeyError, RuntimeError)])
def test_an_error_of_one_stops_the_others_and_is_told(
    tmp_path: Path, error: type[Exception], expected: type[Exception]
) -> None:
    def call_of(name: str) -> side_by_side.Call:
        return partial(fail, error) if name == "b" else partial(wait_for_the_end, tmp_path, name)

    started = time.monotonic()
    with pytest.raises(expected, match=r"systems\.b: too long"):
        run_side_by_side(["a", "b"], {}, call_of, 2)
    assert time.monotonic() - started < 300


def test_one_that_ends_without_a_word_is_told_of() -> None:
    with pytest.raises(CrosstuneError, match=r"a: its process ended with status -9.*Lower systems_at_once"):
        run_side_by_side(["a"], {}, lambda _: die, 2)


PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from crosstune.runs.workers import run_side_by_side
from tests.runs.test_workers import wait_for_the_end
run_side_by_side(["a", "b"], {}, lambda name: partial(wait_for_the_end, Path(sys.argv[1]), name), 2)
"""


def started(folder: Path) -> tuple["subprocess.Popen[bytes]", list[int]]:
    """Start a program with two processes; return it and their numbers, when both work."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env=ENVIRONMENT,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [(folder / name).read_text() if (folder / name).exists() else "" for name in "ab"]
        if all(found):
            return process, [int(number) for number in found]
        time.sleep(0.05)
    raise AssertionError("nothing began to work")


def is_alive(number: int) -> bool:
    """Return whether a process works; one that has ended may wait for somebody to ask how."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("request_to_stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_a_request_to_stop_reaches_all_and_waits_until_they_have_saved(
    tmp_path: Path, request_to_stop: signal.Signals
) -> None:
    process, numbers = started(tmp_path)
    process.send_signal(request_to_stop)
    process.wait(timeout=60)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "a saved", "b saved"}
    assert not any(map(is_alive, numbers))


def test_none_goes_on_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    process, numbers = started(tmp_path)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(is_alive, numbers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_several_launched_processes_work_on_one_system_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_once(8) == 4 and at_once(1) == 1
    launched(monkeypatch, 2)
    assert at_once(8) == 1
