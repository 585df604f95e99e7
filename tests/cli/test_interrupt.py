"""Ctrl-C in the first seconds of a command, which are imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# What libraries make of an interrupt in the midst of their import.
SLOW_TORCH = """
import sys, time
try:
    print("importing", flush=True)
    time.sleep(60)
except BaseException:
    raise ImportError("cannot load module more than once per process")
"""


# The library itself, after a second.
SLOW_PYARROW = """
import sys, time
print("importing", flush=True)
time.sleep(1)
sys.path.remove(PLACE)
del sys.modules["pyarrow"]
import pyarrow
"""


def stopped_in_an_import(folder: Path, module: str, code: str, *command: str) -> tuple[int, str]:
    (folder / f"{module}.py").write_text(code.replace("PLACE", repr(str(folder))), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-m", "crosstune", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    return process.returncode, told


@pytest.mark.slow
def test_ctrl_c_while_libraries_are_imported_ends_the_command_without_an_error(tmp_path: Path) -> None:
    status, told = stopped_in_an_import(tmp_path, "torch", SLOW_TORCH, "chat", "a_model")
    assert status == 130 and "error" not in told


@pytest.mark.slow
def test_ctrl_c_while_a_stage_imports_says_how_it_goes_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    status, told = stopped_in_an_import(tmp_path, "pyarrow", SLOW_PYARROW, "data", "miniature", f"runs_root={runs}")
    assert status == 130 and "Run the same command again to resume" in told and "error" not in told
    assert not list(runs.rglob("*.tmp"))
