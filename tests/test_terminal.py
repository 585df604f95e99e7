"""What people see: headings, progress and notes on stderr, results on stdout, colour at terminals only."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from crosstune.runs.folder import RunFolder
from crosstune.terminal import bars, output, stopping
from tests.command_line import ENVIRONMENT, crosstune
from tests.report.conftest import make_recipe, write_run


def test_a_traceback_drives_no_terminal_with_what_a_corpus_holds(tmp_path: Path) -> None:
    write_run(make_recipe(tmp_path))
    recipe = tmp_path / "r.yaml"
    recipe.write_text('name: "\\e]0;owned\\a\\e[2J"\nseed: one\n', encoding="utf-8")
    done = crosstune("--debug", "run", str(recipe), "--dry-run")
    assert done.returncode == 1 and "Traceback" in done.stderr and "\\x1b]0;owned" in done.stderr
    assert "\x1b" not in done.stderr


def test_json_on_a_terminal_drives_it_neither(capsys: pytest.CaptureFixture[str]) -> None:
    text = {"label": "\x1b[2J \x9b2J \u202e \x7f"}
    output.write_json(json.dumps(text, ensure_ascii=False))
    written = capsys.readouterr().out
    assert written.isascii() and written.isprintable() and json.loads(written) == text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return write_run(make_recipe(tmp_path_factory.mktemp("runs")))


def report(run: RunFolder, *options: str) -> "subprocess.CompletedProcess[str]":
    before = [option for option in options if option == "--quiet"]
    done = crosstune(*before, "report", str(run.recipe), *(option for option in options if option not in before))
    assert done.returncode == 0, done.stderr
    return done


def test_a_pipe_gets_headings_on_stderr_and_tables_and_the_reports_place_on_stdout_without_colour(
    run: RunFolder,
) -> None:
    done = report(run)
    assert done.stderr.startswith("report: everything above -> report/report.html")
    assert done.stdout.lstrip().startswith("Table 3. Accuracy") and "Table 4. Translation" in done.stdout
    assert done.stdout.rstrip().endswith(f"The report: {run.report}/report.html")
    assert "\x1b" not in done.stdout + done.stderr


def test_quiet_leaves_the_results(run: RunFolder) -> None:
    done = report(run, "--quiet")
    assert done.stderr == "" and done.stdout == report(run).stdout


def test_json_is_all_that_stands_on_stdout(run: RunFolder) -> None:
    found = json.loads(report(run, "--json").stdout)
    assert {"system", "task", "metric", "value", "low", "high"} <= found[0].keys()


def test_a_terminal_gets_colour_unless_it_asks_for_none(run: RunFolder) -> None:
    def seen(**environment: str) -> str:
        reader, writer = pty.openpty()
        command = [sys.executable, "-m", "crosstune", "report", str(run.recipe)]
        subprocess.run(
            command, stdout=writer, stderr=subprocess.DEVNULL, env={**ENVIRONMENT, "TERM": "xterm", **environment}
        )
        os.close(writer)
        parts = []
        # Reading what a closed terminal held ends in an error on Linux.
        while part := _read(reader):
            parts.append(part)
        os.close(reader)
        return b"".join(parts).decode()

    assert "\x1b[1m" in seen() and "\x1b[3" not in seen(NO_COLOR="1")


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 16)
    except OSError:
        return b""


def test_what_stands_in_brackets_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.console, "quiet", False)
    output.heading("runs/[old]")
    output.note("[bold]")
    assert capsys.readouterr().err == "runs/[old]\n  [bold]\n"


def test_progress_leaves_one_line_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.console, "quiet", False)
    with bars.progress("translate book", 3) as advance, bars.progress("inside", 2) as inner:
        for _ in range(3):
            advance()
            inner()
    shown = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(shown) == 1 and "translate book" in shown[0] and "3/3" in shown[0]


def test_work_inside_a_long_step_is_told_behind_its_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "console", output.SafeConsole(stderr=True, width=120))
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", -1)
    with bars.progress("bilingual: full", 800), bars.progress("translate ko-en", 100) as inner:
        inner(40)
    shown = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert "0/800" in shown[0] and shown[0].rstrip().endswith("translate ko-en 40/100")
    assert all(line.rstrip().endswith("left -:--:--") for line in shown[1:])


@pytest.mark.parametrize(
    "name", ["without_translation: full on without_translation", "번역 없음: 번역 데이터가 없는 혼합"]
)
def test_a_long_name_gives_way_to_the_numbers_of_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bars, "console", output.SafeConsole(stderr=True, width=80))
    with bars.progress(name, total=2400) as advance:
        advance(2400, "loss 2.61")
    (line,) = capsys.readouterr().err.splitlines()
    assert "2400/2400 0:00:00 left 0:00:00" in line and f"{name[:5]}" in line and "…" in line


def test_in_a_pipe_a_long_step_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.console, "quiet", False)
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", -1)
    with bars.progress("translate book", 2) as advance:
        advance()
    with bars.bars_of_others() as show:
        show("base", bars.BarMoved("read page", 2, 1, "", is_over=False))
        monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 60)
        show("base", bars.BarMoved("read page", 2, 1, "", is_over=True))
    shown = capsys.readouterr().err
    assert shown.count("translate book") == 2 and "1/2" in shown
    assert shown.count("read page") == 2 and "2/2" in shown


def test_who_stops_a_command_is_told_at_once_that_it_stops(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.console, "quiet", False)
    with stopping.stop_requests() as stop_requested:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop_requested()
    assert capfd.readouterr().err.split("\n")[1:-1] == [
        "  stopping: what is under way is finished and saved first. Ctrl-C again stops at once."
    ]


def test_where_no_total_was_known_the_line_says_how_much_was_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.console, "quiet", False)
    with bars.progress("read book", None) as advance:
        advance(7)
    with bars.bars_of_others() as show:
        show("base", bars.BarMoved("read page", None, 3, "", is_over=False))
        show("base", bars.BarMoved("read page", None, 2, "", is_over=True))
    shown = capsys.readouterr().err
    assert "7/7" in shown and "5/5" in shown and "?" not in shown


def test_a_note_behind_a_bar_is_shortened_by_whole_parts() -> None:
    assert bars.as_much_as_fits("loss 1.0  bits 2.0  rate 3", 20) == "loss 1.0  bits 2.0"
    assert bars.as_much_as_fits("loss 1.0", 4) == ""


def test_what_corpora_and_models_hold_cannot_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;pwned\x07\x1b[2J\u202eabc\ttab\n줄"
    table = Table(hostile)
    table.add_row(hostile)
    for console in (output.console, output.results):
        console.print(hostile, markup=False)
        console.print(table)
    written = "".join(capsys.readouterr())
    assert not any(sign in written for sign in "\x07\u202e") and "\x1b]" not in written and "\x1b[2J" not in written
    assert "\\x1b]0;pwned" in written and "줄" in written
